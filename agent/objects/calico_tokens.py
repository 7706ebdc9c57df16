"""The words of Calico's selector language (calico_selector.py), one after the other.

Which words are operators depends on what came before: after a label only an operator can follow, so a label may be
called `in` or `has`. Only blanks and tabs separate; a string ends at its own quote and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from agent.errors import InvalidObject


class Kind(StrEnum):
    """How a person would call it."""

    OPEN = '"("'
    CLOSE = '")"'
    OPEN_SET = '"{"'
    CLOSE_SET = '"}"'
    COMMA = '","'
    AND = '"&&"'
    OR = '"||"'
    NOT = '"!"'
    ALL = "all()"
    GLOBAL = "global()"
    HAS = "has()"
    LABEL = "label"
    STRING = "string"
    EQUALS = '"=="'
    NOT_EQUALS = '"!="'
    IN = '"in"'
    NOT_IN = '"not in"'
    CONTAINS = '"contains"'
    STARTS_WITH = '"starts with"'
    ENDS_WITH = '"ends with"'
    END = "the end"


@dataclass(frozen=True, slots=True)
class Token:
    """`text`: a label's name, a string's value. `column` from 0."""

    kind: Kind
    column: int
    text: str = ""

    def __str__(self) -> str:
        return f'{self.kind} "{self.text}"' if self.kind in (Kind.LABEL, Kind.STRING) else str(self.kind)


_LABEL = r"[A-Za-z0-9_./-]{1,512}"
_PUNCTUATION = (
    (Kind.OPEN, r"\("),
    (Kind.CLOSE, r"\)"),
    (Kind.OPEN_SET, r"\{"),
    (Kind.CLOSE_SET, r"\}"),
    (Kind.COMMA, ","),
    (Kind.AND, "&&"),
    (Kind.OR, r"\|\|"),
    (Kind.STRING, "\"([^\"]*)\"|'([^']*)'"),
)
_SIGNS = ((Kind.EQUALS, "=="), (Kind.NOT_EQUALS, "!="))
_BEGINNINGS = (
    (Kind.NOT, "!"),
    (Kind.ALL, r"all\([ \t]*\)"),
    (Kind.GLOBAL, r"global\([ \t]*\)"),
    (Kind.HAS, rf"has\([ \t]*({_LABEL})[ \t]*\)"),
    (Kind.LABEL, f"({_LABEL})"),
)
_OPERATORS = (
    (Kind.NOT_IN, r"not[ \t]*in\b"),
    (Kind.IN, r"in\b"),
    (Kind.CONTAINS, r"contains\b"),
    (Kind.STARTS_WITH, r"starts[ \t]*with\b"),
    (Kind.ENDS_WITH, r"ends[ \t]*with\b"),
)


def _compiled(*groups: tuple[tuple[Kind, str], ...]) -> tuple[tuple[Kind, re.Pattern[str]], ...]:
    return tuple((kind, re.compile(pattern, re.ASCII)) for group in groups for kind, pattern in group)


_AFTER_LABEL = _compiled(_SIGNS, _OPERATORS)
_ELSEWHERE = _compiled(_PUNCTUATION, _SIGNS, _BEGINNINGS)
_BLANK = re.compile(r"[ \t]*")


def tokens(text: str) -> Iterator[Token]:
    """The last one is END. Raises InvalidObject where nothing fits."""
    column, is_after_label = 0, False
    while True:
        column = _end(_BLANK, text, column)
        if column == len(text):
            yield Token(Kind.END, column)
            return
        kind, found = _next(text, column, is_after_label)
        yield Token(kind, column, next((group for group in found.groups() if group is not None), ""))
        column, is_after_label = found.end(), kind is Kind.LABEL


def _next(text: str, column: int, is_after_label: bool) -> tuple[Kind, re.Match[str]]:
    for kind, pattern in _AFTER_LABEL if is_after_label else _ELSEWHERE:
        if found := pattern.match(text, column):
            return kind, found
    raise InvalidObject(f'cannot read selector "{text}": column {column + 1}: {_trouble(text, column, is_after_label)}')


def _end(pattern: re.Pattern[str], text: str, column: int) -> int:
    found = pattern.match(text, column)
    return found.end() if found else column


def _trouble(text: str, column: int, is_after_label: bool) -> str:
    rest = text[column : column + 12]
    if text[column] in "\"'":
        return "a string without its closing quote"
    if is_after_label:
        return f"after a label comes ==, !=, in, not in, contains, starts with or ends with, not {rest!r}"
    return f"{rest!r} is no part of a selector"
