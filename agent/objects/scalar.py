"""Scalars as they were written: a value with its text, which a message can quote back ("1.10", not 1.1).

What an unquoted word means follows the YAML that Kubernetes reads, not PyYAML: `1e3` is a number, `yes` and `on` are
booleans, `12:30` and `2024-01-01` are strings. Integers beyond 64 bits become floats, as in every JSON reader; a number
that JSON could not write again (infinity) stays a string.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")
_BOOLEANS = {form: word in _TRUE for word in (*_TRUE, *_FALSE) for form in (word, word.title(), word.upper())}
_INTEGER = re.compile(r"([-+]?)(?:0b([01]+)|0o?([0-7]+)|0x([0-9a-fA-F]+)|(0|[1-9][0-9]*))", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_LONGEST_INTEGER = len("-0b") + 64


@dataclass(frozen=True, slots=True)
class Plain:
    """An unquoted YAML scalar that is not a string: null, a boolean or a number."""

    value: Any
    text: str


def resolve(text: str) -> Plain | None:
    """What an unquoted scalar means; None when it is a string."""
    if text in _NULL:
        return Plain(None, text)
    if text in _BOOLEANS:
        return Plain(_BOOLEANS[text], text)
    value = number(text)
    return None if value is None else Plain(value, text)


def number(text: str) -> int | float | None:
    """None when it is not a number, or one that could not be stored."""
    integer = _integer(text)
    if integer is not None:
        return integer
    value = float(text) if _FLOAT.fullmatch(text) else math.inf
    return value if math.isfinite(value) else None


def _integer(text: str) -> int | None:
    found = _INTEGER.fullmatch(text) if len(text) <= _LONGEST_INTEGER else None
    if found is None:
        return None
    sign, *forms = found.groups()
    digits, base = next((digits, base) for digits, base in zip(forms, (2, 8, 16, 10), strict=True) if digits)
    value = int(sign + digits, base)
    return value if -(2**63) <= value < 2**63 else None


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
