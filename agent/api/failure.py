"""Errors on the wire: a PodwrightError as a Kubernetes Status document, and back.

Server and client share this file, so it imports nothing beyond agent.errors: the command line starts with it.
The class is found again by `reason` and HTTP code; what a class carries besides its message is not rebuilt, the
message already says it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent import errors
from agent.errors import InternalError, InvalidObject, PodwrightError

_KINDS = [
    kind
    for kind in reversed(vars(errors).values())
    if isinstance(kind, type) and issubclass(kind, PodwrightError) and kind.__init__ in (PodwrightError.__init__, InvalidObject.__init__)
]
"""The classes of agent.errors that can be made from a message alone, the special before the general."""


def to_status(error: PodwrightError) -> dict[str, Any]:
    """The body of a failed answer."""
    details: dict[str, Any] = {}
    if isinstance(error, InvalidObject) and error.problems:
        details["problems"] = list(error.problems)
    if error.hint:
        details["hint"] = error.hint
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": "Failure",
        "message": error.message,
        "reason": error.reason,
        "code": error.http_status,
        "details": details,
    }


def from_status(document: Mapping[str, Any]) -> PodwrightError:
    """The error a Status stands for. An unknown reason falls back to the class of its HTTP code."""
    message = str(document.get("message") or "the agent gave no reason")
    details = document.get("details") or {}
    hint = str(details.get("hint", ""))
    kind = _class_for(str(document.get("reason", "")), int(document.get("code") or 500))
    if issubclass(kind, InvalidObject):
        return kind(message, problems=tuple(details.get("problems", ())), hint=hint)
    return kind(message, hint=hint)


def _class_for(reason: str, code: int) -> type[PodwrightError]:
    alike = [kind for kind in _KINDS if kind.http_status == code]
    exact = [kind for kind in alike if kind.reason == reason]
    return next(iter(exact or alike), errors.CallerError if 400 <= code < 500 else InternalError)
