"""Calico's selector language: text to a frozen tree that matches labels, prints itself and tells an index what it needs.

    or     := and { "||" and }          and := not { "&&" not }          not := { "!" } atom
    atom   := "(" or ")" | all() | global() | has(LABEL) | LABEL == STRING | LABEL != STRING
            | LABEL in SET | LABEL not in SET | LABEL contains STRING | LABEL starts with STRING | LABEL ends with STRING

A string stands in either quote and knows no escape. `!=` and `not in` hold where the label is missing, everything else
does not. global() holds always; inside a namespaceSelector `in_namespaces` gives it and all() their meaning there.
The printed form is canonical: what matches alike by construction prints alike, and parses to the same tree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from agent.errors import InvalidObject
from agent.objects.calico_tokens import Kind, Token, tokens

NAMESPACE_LABEL = "projectcalico.org/namespace"
"""What is in a namespace carries its name under this label; sets of no namespace do not."""

Labels: TypeAlias = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Restriction:
    """What labels must be like for a selector to match: the key is there, with one of `values` unless that is None."""

    key: str
    values: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class All:
    def matches(self, labels: Labels) -> bool:
        return True

    def __str__(self) -> str:
        return "all()"


@dataclass(frozen=True, slots=True)
class Global:
    def matches(self, labels: Labels) -> bool:
        return True

    def __str__(self) -> str:
        return "global()"


@dataclass(frozen=True, slots=True)
class Has:
    key: str

    def matches(self, labels: Labels) -> bool:
        return self.key in labels

    def __str__(self) -> str:
        return f"has({self.key})"


@dataclass(frozen=True, slots=True)
class Equals:
    key: str
    value: str

    def matches(self, labels: Labels) -> bool:
        return labels.get(self.key) == self.value

    def __str__(self) -> str:
        return f"{self.key} == {_quoted(self.value)}"


@dataclass(frozen=True, slots=True)
class NotEquals:
    key: str
    value: str

    def matches(self, labels: Labels) -> bool:
        return labels.get(self.key) != self.value

    def __str__(self) -> str:
        return f"{self.key} != {_quoted(self.value)}"


@dataclass(frozen=True, slots=True)
class In:
    """`values` are sorted and distinct."""

    key: str
    values: tuple[str, ...]

    def matches(self, labels: Labels) -> bool:
        return labels.get(self.key) in self.values

    def __str__(self) -> str:
        return f"{self.key} in {_set(self.values)}"


@dataclass(frozen=True, slots=True)
class NotIn:
    """`values` are sorted and distinct."""

    key: str
    values: tuple[str, ...]

    def matches(self, labels: Labels) -> bool:
        return labels.get(self.key) not in self.values

    def __str__(self) -> str:
        return f"{self.key} not in {_set(self.values)}"


@dataclass(frozen=True, slots=True)
class Text:
    """A part of the value."""

    key: str
    place: Literal["contains", "starts with", "ends with"]
    value: str

    def matches(self, labels: Labels) -> bool:
        found = labels.get(self.key)
        if found is None:
            return False
        match self.place:
            case "contains":
                return self.value in found
            case "starts with":
                return found.startswith(self.value)
            case "ends with":
                return found.endswith(self.value)

    def __str__(self) -> str:
        return f"{self.key} {self.place} {_quoted(self.value)}"


@dataclass(frozen=True, slots=True)
class Not:
    """`inner` is no Not itself."""

    inner: Selector

    def matches(self, labels: Labels) -> bool:
        return not self.inner.matches(labels)

    def __str__(self) -> str:
        return f"!{self.inner}"


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Selector, ...]

    def matches(self, labels: Labels) -> bool:
        return all(part.matches(labels) for part in self.parts)

    def __str__(self) -> str:
        return f"({' && '.join(map(str, self.parts))})"


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Selector, ...]

    def matches(self, labels: Labels) -> bool:
        return any(part.matches(labels) for part in self.parts)

    def __str__(self) -> str:
        return f"({' || '.join(map(str, self.parts))})"


Selector: TypeAlias = All | Global | Has | Equals | NotEquals | In | NotIn | Text | Not | And | Or
ALL = All()


@lru_cache(4096)
def parse_selector(text: str) -> Selector:
    """The tree. Raises InvalidObject with the column of what is wrong. A text without a word is all()."""
    parser = _Parser(text)
    if parser.sees(Kind.END):
        return ALL
    selector = parser.either()
    if not parser.sees(Kind.END):
        raise parser.refusal('"&&", "||" or the end')
    return selector


def restrictions(selector: Selector) -> tuple[Restriction, ...]:
    """Conditions that all hold wherever the selector matches; none: only looking at everything will tell."""
    match selector:
        case Has(key) | Text(key):
            return (Restriction(key),)
        case Equals(key, value):
            return (Restriction(key, frozenset((value,))),)
        case In(key, values):
            return (Restriction(key, frozenset(values)),)
        case And(parts):
            return tuple(found for part in parts for found in restrictions(part))
        case _:
            return ()


def prefixed(selector: Selector, prefix: str) -> Selector:
    """The same question about labels whose keys begin with `prefix`."""
    match selector:
        case Has(key):
            return Has(prefix + key)
        case Equals(key, value):
            return Equals(prefix + key, value)
        case NotEquals(key, value):
            return NotEquals(prefix + key, value)
        case In(key, values):
            return In(prefix + key, values)
        case NotIn(key, values):
            return NotIn(prefix + key, values)
        case Text(key, place, value):
            return Text(prefix + key, place, value)
        case Not(inner):
            return Not(prefixed(inner, prefix))
        case And(parts):
            return And(tuple(prefixed(part, prefix) for part in parts))
        case Or(parts):
            return Or(tuple(prefixed(part, prefix) for part in parts))
        case _:
            return selector


def in_namespaces(selector: Selector) -> Selector:
    """With a namespaceSelector's meaning: all() is what is in a namespace, global() what is in none."""
    match selector:
        case All():
            return Has(NAMESPACE_LABEL)
        case Global():
            return Not(Has(NAMESPACE_LABEL))
        case Not(inner):
            return _negated(in_namespaces(inner))
        case And(parts):
            return And(tuple(in_namespaces(part) for part in parts))
        case Or(parts):
            return Or(tuple(in_namespaces(part) for part in parts))
        case _:
            return selector


def has_global(selector: Selector) -> bool:
    match selector:
        case Global():
            return True
        case Not(inner):
            return has_global(inner)
        case And(parts) | Or(parts):
            return any(has_global(part) for part in parts)
        case _:
            return False


class _Parser:
    """Recursive descent, one token ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._next = next(self._tokens)
        self._depth = 0

    def sees(self, kind: Kind) -> bool:
        return self._next.kind is kind

    def either(self) -> Selector:
        parts = [self._both()]
        while self.sees(Kind.OR):
            self._take()
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def refusal(self, expected: str) -> InvalidObject:
        return InvalidObject(
            f'cannot read selector "{self._text}": column {self._next.column + 1}: expected {expected}, got {self._next}',
            hint="""such as: app == "web" && tier in {"a", "b"} && !has(legacy)""",
        )

    def _both(self) -> Selector:
        parts = [self._operation()]
        while self.sees(Kind.AND):
            self._take()
            parts.append(self._operation())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _operation(self) -> Selector:
        is_negated = False
        while self.sees(Kind.NOT):
            self._take()
            is_negated = not is_negated
        atom = self._atom()
        return _negated(atom) if is_negated else atom

    def _atom(self) -> Selector:
        match self._next.kind:
            case Kind.ALL:
                self._take()
                return ALL
            case Kind.GLOBAL:
                self._take()
                return Global()
            case Kind.HAS:
                return Has(self._take().text)
            case Kind.OPEN:
                return self._group()
            case Kind.LABEL:
                return self._comparison(self._take().text)
        raise self.refusal("a label, has(LABEL), all(), global() or a group in parentheses")

    def _group(self) -> Selector:
        self._take()
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self.refusal(f"at most {_MAX_DEPTH} groups inside each other")
        inner = self.either()
        self._depth -= 1
        self._expect(Kind.CLOSE, '"&&", "||" or ")"')
        return inner

    def _comparison(self, key: str) -> Selector:
        operator = self._next
        match operator.kind:
            case Kind.EQUALS:
                self._take()
                return Equals(key, self._string())
            case Kind.NOT_EQUALS:
                self._take()
                return NotEquals(key, self._string())
            case Kind.IN:
                self._take()
                return In(key, self._values())
            case Kind.NOT_IN:
                self._take()
                return NotIn(key, self._values())
            case Kind.CONTAINS:
                self._take()
                return Text(key, "contains", self._string())
            case Kind.STARTS_WITH:
                self._take()
                return Text(key, "starts with", self._string())
            case Kind.ENDS_WITH:
                self._take()
                return Text(key, "ends with", self._string())
        raise self.refusal("==, !=, in, not in, contains, starts with or ends with")

    def _string(self) -> str:
        return self._expect(Kind.STRING, "a string in quotes").text

    def _values(self) -> tuple[str, ...]:
        self._expect(Kind.OPEN_SET, '"{"')
        values = set()
        while not self.sees(Kind.CLOSE_SET):
            values.add(self._string())
            if not self.sees(Kind.COMMA):
                break
            self._take()
        self._expect(Kind.CLOSE_SET, '"," or "}"')
        return tuple(sorted(values))

    def _expect(self, kind: Kind, expected: str) -> Token:
        if not self.sees(kind):
            raise self.refusal(expected)
        return self._take()

    def _take(self) -> Token:
        token, self._next = self._next, next(self._tokens, self._next)
        return token


def _negated(selector: Selector) -> Selector:
    return selector.inner if isinstance(selector, Not) else Not(selector)


_MAX_DEPTH = 100
"""Deeper than anybody writes; a selector of brackets alone must not exhaust the stack."""


def _quoted(value: str) -> str:
    return f"'{value}'" if '"' in value else f'"{value}"'


def _set(values: tuple[str, ...]) -> str:
    return "{" + ", ".join(_quoted(value) for value in values) + "}"
