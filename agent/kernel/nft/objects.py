"""Tables, chains, rules, sets and elements as values. `str` of each is nft(8) text; of a Ruleset, a file `nft -f` loads.

A set is identified by its table and name; an Element carries its Set, so that it can print and encode itself.
Values of elements are in the form the datatypes read back (an address rather than a /32, "tcp" rather than 6):
a list from the kernel and a list that was planned can then be subtracted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import Literal, Protocol

from agent.kernel.nft.datatypes import DataType, Scalar
from agent.kernel.nft.expression import Statement
from agent.kernel.nft.verdict import Verdict
from agent.kernel.nft.wire import Family

DataTypes = tuple[DataType, ...]
Data = tuple[Scalar, ...] | Verdict


@dataclass(frozen=True)
class Table:
    """`comment` is kept in the kernel; ours holds the digest of the ruleset it came from."""

    family: Family
    name: str
    comment: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.family} {self.name}"


@dataclass(frozen=True)
class Hook:
    """Where a base chain is attached. `device` only in the netdev family."""

    type: Literal["filter", "nat", "route"]
    point: Literal["prerouting", "input", "forward", "output", "postrouting", "ingress"]
    priority: int
    device: str = ""
    policy: Literal["accept", "drop"] = "accept"

    def __str__(self) -> str:
        device = f' device "{self.device}"' if self.device else ""
        return f"type {self.type} hook {self.point}{device} priority {self.priority}; policy {self.policy};"


@dataclass(frozen=True)
class Rule:
    statements: tuple[Statement, ...]
    comment: str = ""

    def __str__(self) -> str:
        words = [str(statement) for statement in self.statements]
        if self.comment:
            words.append(f'comment "{self.comment}"')
        return " ".join(words)


def rule(*statements: Statement, comment: str = "") -> Rule:
    return Rule(statements, comment)


@dataclass(frozen=True)
class Chain:
    table: Table
    name: str
    rules: tuple[Rule, ...] = ()
    hook: Hook | None = None

    def __str__(self) -> str:
        return f"{self.table} {self.name}"

    def body(self) -> Iterator[str]:
        if self.hook:
            yield str(self.hook)
        yield from map(str, self.rules)


class Typeof(Protocol):
    """What `typeof` in a set's declaration names: a field of which nft knows no type with a length."""

    @property
    def text(self) -> str: ...

    @property
    def userdata(self) -> bytes: ...


@dataclass(frozen=True)
class Set:
    """A set; a map if it has `data`; a verdict map if that is VERDICT. Several key types are concatenated."""

    table: Table
    name: str
    key: DataTypes
    data: DataTypes | Literal["verdict"] | None = None
    is_interval: bool = False
    typeof: tuple[Typeof, ...] = field(default=(), compare=False)
    comment: str = field(default="", compare=False)

    @cached_property
    def _hash(self) -> int:
        return hash((self.table, self.name))

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return f"{self.table} {self.name}"

    @property
    def keyword(self) -> str:
        return "set" if self.data is None else "map"

    def body(self) -> Iterator[str]:
        """The lines of its declaration."""
        data = ""
        if self.data == "verdict":
            data = " : verdict"
        elif self.data is not None:
            data = " : " + " . ".join(part.name for part in self.data)
        if self.typeof:
            yield "typeof " + " . ".join(part.text for part in self.typeof) + data
        else:
            yield "type " + " . ".join(part.name for part in self.key) + data
        if self.is_interval:
            yield "flags interval"
        if self.comment:
            yield f'comment "{self.comment}"'

    def element(self, *key: Scalar, data: Data | None = None) -> Element:
        return Element(self, key, data)


VERDICT: Literal["verdict"] = "verdict"


@dataclass(frozen=True, slots=True)
class Element:
    set: Set
    key: tuple[Scalar, ...]
    data: Data | None = None

    def __str__(self) -> str:
        return f"{self.set} {{ {self.text} }}"

    @property
    def text(self) -> str:
        return entry_text(self.set.key, self.set.data, self.key, self.data)


def entry_text(key_types: DataTypes, data_types: DataTypes | Literal["verdict"] | None, key: tuple[Scalar, ...], data: Data | None) -> str:
    words = joined_text(key_types, key)
    if data is None:
        return words
    if isinstance(data, Verdict):
        return f"{words} : {data}"
    assert isinstance(data_types, tuple)
    return f"{words} : {joined_text(data_types, data)}"


def joined_text(types: DataTypes, values: tuple[Scalar, ...]) -> str:
    return " . ".join(part.text(value) for part, value in zip(types, values, strict=True))


@dataclass(frozen=True)
class AnonymousSet:
    """A constant set written inside a rule. With verdicts it is an anonymous verdict map."""

    key: DataTypes
    entries: tuple[tuple[tuple[Scalar, ...], Verdict | None], ...]

    def __str__(self) -> str:
        return "{ " + ", ".join(entry_text(self.key, VERDICT, key, verdict) for key, verdict in self.entries) + " }"

    @property
    def is_map(self) -> bool:
        return self.entries[0][1] is not None

    def named(self, table: Table, name: str) -> tuple[Set, tuple[Element, ...]]:
        """As a set of `table`, for the encoder."""
        is_interval = any(len(set(part.bounds(value))) > 1 for key, _ in self.entries for part, value in zip(self.key, key, strict=True))
        a_set = Set(table, name, self.key, VERDICT if self.is_map else None, is_interval)
        return a_set, tuple(Element(a_set, key, verdict) for key, verdict in self.entries)


@dataclass(frozen=True)
class Ruleset:
    """Whole tables, wanted as they stand here. Order: sets and chains of a table in the order given."""

    tables: tuple[Table, ...]
    sets: tuple[Set, ...] = ()
    chains: tuple[Chain, ...] = ()
    elements: tuple[Element, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self._table_text(table, self.elements) for table in self.tables)

    def digest(self, table: Table) -> str:
        """Of everything in `table` but elements: these are compared one by one."""
        return hashlib.blake2b(self._table_text(replace(table, comment=""), ()).encode(), digest_size=16).hexdigest()

    def stamped(self) -> Ruleset:
        """Each table's comment is the digest of its content, so that a fresh process recognises it."""
        return replace(self, tables=tuple(replace(table, comment=self.digest(table)) for table in self.tables))

    def _table_text(self, table: Table, elements: tuple[Element, ...]) -> str:
        lines = [f'comment "{table.comment}"'] if table.comment else []
        for a_set in self.sets:
            if a_set.table == table:
                members = ", ".join(element.text for element in elements if element.set == a_set)
                lines += _block(f"{a_set.keyword} {a_set.name}", [*a_set.body(), *([f"elements = {{ {members} }}"] if members else [])])
        for chain in self.chains:
            if chain.table == table:
                lines += _block(f"chain {chain.name}", chain.body())
        return "\n".join(_block(f"table {table}", lines)) + "\n"


def _block(title: str, lines: Iterable[str]) -> list[str]:
    return [f"{title} {{", *(f"\t{line}" for line in lines), "}"]


def by_set(elements: Iterable[Element]) -> Iterator[tuple[Set, list[Element]]]:
    """Elements in their order, neighbours of one set together."""
    for a_set, group in groupby(elements, key=lambda element: element.set):
        yield a_set, list(group)
