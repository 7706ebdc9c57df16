"""The errors that the CNI specification itself defines, and the object a plugin prints for any error.

Codes 0 to 99 are the specification's; agent.errors classes bring their own from 100 on (and 3, 7, 11 where they
mean the same). The type is the policy here too: the code belongs to the class.
"""

from __future__ import annotations

from agent.errors import CallerError, PodwrightError, TemporaryError


class IncompatibleVersion(CallerError):
    cni_code = 1


class UnsupportedField(CallerError):
    """The specification wants key and value in the message."""

    cni_code = 2

    def __init__(self, path: str, value: object, *, hint: str) -> None:
        super().__init__(f"unsupported field {path}: {value!r}", hint=hint)


class InvalidEnvironment(CallerError):
    cni_code = 4


class Undecodable(CallerError):
    cni_code = 6


class InvalidConfig(CallerError):
    cni_code = 7


class InvalidNamespace(CallerError):
    cni_code = 8


class NotReady(TemporaryError):
    """STATUS: new pods cannot be served."""

    cni_code = 50


class NotReadyDegraded(NotReady):
    """STATUS: new pods cannot be served, and those that exist have lost connectivity."""

    cni_code = 51


def error_object(error: PodwrightError, version: str) -> dict[str, object]:
    """What goes to stdout. `version` is the request's, or the newest where the request has none that we know."""
    wire: dict[str, object] = {"cniVersion": version, "code": error.cni_code, "msg": error.message}
    if error.hint:
        wire["details"] = error.hint
    return wire
