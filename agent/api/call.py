"""One request and its answer as values: handlers are plain functions between them and know nothing of HTTP servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from agent.api.backend import Backend
from agent.api.peers import Access
from agent.errors import InvalidObject
from agent.objects.meta import decode_hook

JSON = "application/json"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """`path` holds the route's placeholders, `access` what the peer may do."""

    backend: Backend
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    content_type: str = JSON
    access: Access = Access.WRITE

    @property
    def is_dry_run(self) -> bool:
        return self.query.get("dryRun", "") not in ("", "None")

    @property
    def text(self) -> str:
        """The body as text. Raises InvalidObject."""
        try:
            return self.body.decode()
        except UnicodeDecodeError as error:
            raise InvalidObject(f"request body is not UTF-8: {error.reason} at byte {error.start}") from None

    def body_as(self, wanted: type[T]) -> T:
        """The JSON body as a typed value. Raises InvalidObject with the field's path."""
        try:
            return msgspec.json.decode(self.body, type=wanted, dec_hook=decode_hook)
        except msgspec.ValidationError as error:
            raise InvalidObject(f"request body is wrong: {error}") from None
        except msgspec.DecodeError as error:
            raise InvalidObject(f"request body is not JSON: {error}") from None


@dataclass(frozen=True, slots=True)
class Answer:
    """`body`: bytes go out as they are, anything else as JSON."""

    body: Any
    status: int = 200
    content_type: str = JSON
    warnings: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    undo: Callable[[], None] | None = None
    """What to do if the caller goes away before it has this answer (receipt.py). May block."""


Handler = Callable[[Call], Answer]


def is_true(text: str) -> bool:
    """A boolean query parameter, as Kubernetes' clients write it."""
    return text.lower() in ("1", "t", "true")
