"""Changes as values: what one transaction does, in nft(8)'s words.

`put` creates what is missing and updates what is different, `destroy` removes what is there, `replace` makes whole
tables anew. Each sorts its objects so that what is referred to comes first (and goes last); batches are joined
with `+` in the order given. The kernel refuses a map element whose data differ, hence a put of one is two commands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from agent.kernel.nft.objects import Chain, Element, Rule, Ruleset, Set, Table

Object = Table | Chain | Set | Element | Ruleset
Subject = Table | Chain | Set | Element


class Verb(StrEnum):
    ADD = "add"
    DESTROY = "destroy"
    FLUSH = "flush"
    ADD_RULE = "add rule"


class Command(NamedTuple):
    verb: Verb
    subject: Subject
    rule: Rule | None = None

    def __str__(self) -> str:
        if self.verb is Verb.ADD_RULE:
            return f"add rule {self.subject} {self.rule}"
        return f"{self.verb} {_kind(self.subject)} {declaration(self.subject) if self.verb is Verb.ADD else self.subject}"


def _kind(subject: Subject) -> str:
    return subject.keyword if isinstance(subject, Set) else type(subject).__name__.lower()


def declaration(subject: Subject) -> str:
    """An object as it stands behind `add table`, `add chain` …"""
    if isinstance(subject, Table):
        return f'{subject} {{ comment "{subject.comment}"; }}' if subject.comment else str(subject)
    if isinstance(subject, Chain):
        return f"{subject} {{ {subject.hook} }}" if subject.hook else str(subject)
    if isinstance(subject, Set):
        return f"{subject} {{ {' '.join(f'{line};' for line in subject.body())} }}"
    return str(subject)


@dataclass(frozen=True, slots=True)
class Batch:
    commands: tuple[Command, ...] = ()

    def __add__(self, other: Batch) -> Batch:
        return Batch(self.commands + other.commands)

    def __bool__(self) -> bool:
        return bool(self.commands)

    def __str__(self) -> str:
        return "".join(f"{command}\n" for command in self.commands)

    @property
    def title(self) -> str:
        """Short, for logs and kill points."""
        if not self.commands:
            return "nothing"
        first = self.commands[0]
        return f"{first.verb} {_kind(first.subject)} ({len(self.commands)} commands)"


def put(*objects: Object) -> Batch:
    return Batch(tuple(_put(_Sorted.of(objects), is_new=False)))


def destroy(*objects: Object) -> Batch:
    found = _Sorted.of(objects)
    subjects: tuple[Subject, ...] = (*found.elements, *found.chains, *found.sets, *found.tables)
    return Batch(tuple(Command(Verb.DESTROY, subject) for subject in subjects))


def replace(*objects: Object) -> Batch:
    """The tables named are destroyed first: what was in them and is not given here is gone."""
    found = _Sorted.of(objects)
    return destroy(*found.tables) + Batch(tuple(_put(found, is_new=True)))


@dataclass(frozen=True, slots=True)
class _Sorted:
    tables: Sequence[Table]
    sets: Sequence[Set]
    chains: Sequence[Chain]
    elements: Sequence[Element]

    @classmethod
    def of(cls, objects: Sequence[Object]) -> _Sorted:
        kinds: dict[type, list[object]] = {Table: [], Set: [], Chain: [], Element: []}
        for one in objects:
            if isinstance(one, Ruleset):
                for kind, members in ((Table, one.tables), (Set, one.sets), (Chain, one.chains), (Element, one.elements)):
                    kinds[kind].extend(members)
            else:
                kinds[type(one)].append(one)
        return cls(*kinds.values())  # type: ignore[arg-type]


def _put(found: _Sorted, *, is_new: bool) -> Iterator[Command]:
    subjects: tuple[Subject, ...] = (*found.tables, *found.sets, *found.chains)
    yield from (Command(Verb.ADD, subject) for subject in subjects)
    for chain in found.chains:
        if not is_new:
            yield Command(Verb.FLUSH, chain)
        yield from (Command(Verb.ADD_RULE, chain, rule) for rule in chain.rules)
    if not is_new:
        yield from (Command(Verb.DESTROY, element) for element in found.elements if element.data is not None)
    yield from (Command(Verb.ADD, element) for element in found.elements)
