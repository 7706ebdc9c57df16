"""A scalar as it was written: its value, and the text, which a message can quote back ("1.10", not 1.1)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Plain:
    """An unquoted YAML scalar that is not a string: null, a boolean or a number."""

    value: Any
    text: str


def plain(raw: Any) -> Any:
    """The value without its text, all the way down."""
    if isinstance(raw, Plain):
        return raw.value
    if isinstance(raw, dict):
        return {key: plain(value) for key, value in raw.items()}
    if isinstance(raw, list):
        return [plain(item) for item in raw]
    return raw


def describe(raw: Any) -> str:
    """The text of a scalar as its author wrote it."""
    return raw.text if isinstance(raw, Plain) else json.dumps(raw)
