"""What is there, read once per batch: kernels before 6.3 know no DESTROY, and refuse to delete what is absent.

A batch is followed command by command, because it may add what it destroys later, or destroy a table and fill it again.
"""

from __future__ import annotations

from typing import Protocol

from agent.kernel.nft.batch import Batch, Subject, Verb
from agent.kernel.nft.datatypes import Scalar
from agent.kernel.nft.decode import TableState
from agent.kernel.nft.objects import Chain, Element, Set, Table

Identity = tuple[Table, type, str, tuple[Scalar, ...]]


class Lister(Protocol):
    def list_tables(self) -> tuple[TableState, ...]: ...
    def list_chains(self, table: Table) -> frozenset[str]: ...
    def list_sets(self, table: Table) -> frozenset[str]: ...
    def list_elements(self, a_set: Set) -> frozenset[Element]: ...


class Present:
    def __init__(self, lister: Lister) -> None:
        self._lister = lister
        self._tables: set[Table] | None = None
        self._names: dict[tuple[type, Table], set[str]] = {}
        self._keys: dict[Set, set[tuple[Scalar, ...]]] = {}
        self._added: set[Identity] = set()
        """By this batch so far, and not destroyed by it since."""
        self._emptied: set[Table] = set()

    def without_absent(self, batch: Batch) -> Batch:
        """The batch without what it would destroy in vain."""
        kept = []
        for command in batch.commands:
            if command.verb is Verb.ADD:
                self._added.add(_identity(command.subject))
            elif command.verb is Verb.DESTROY and not self._take(command.subject):
                continue
            kept.append(command)
        return Batch(tuple(kept))

    def _take(self, subject: Subject) -> bool:
        """Whether `subject` is there; it is then gone for the next one who asks."""
        was_there = self._take_found(subject)
        if (identity := _identity(subject)) in self._added:
            self._added.discard(identity)
            was_there = True
        if was_there and isinstance(subject, Table):
            self._emptied.add(subject)
            self._added = {one for one in self._added if one[0] != subject}
        return was_there

    def _take_found(self, subject: Subject) -> bool:
        if isinstance(subject, Table):
            return _take(self._known_tables(), subject)
        if isinstance(subject, Element):
            return subject.set.table not in self._emptied and _take(self._known_keys(subject.set), subject.key)
        return subject.table not in self._emptied and _take(self._known_names(subject), subject.name)

    def _known_tables(self) -> set[Table]:
        if self._tables is None:
            self._tables = {state.table for state in self._lister.list_tables()}
        return self._tables

    def _known_keys(self, a_set: Set) -> set[tuple[Scalar, ...]]:
        if a_set not in self._keys:
            self._keys[a_set] = {element.key for element in self._lister.list_elements(a_set)}
        return self._keys[a_set]

    def _known_names(self, subject: Chain | Set) -> set[str]:
        place = (type(subject), subject.table)
        if place not in self._names:
            lister = self._lister.list_chains if isinstance(subject, Chain) else self._lister.list_sets
            self._names[place] = set(lister(subject.table))
        return self._names[place]


def _identity(subject: Subject) -> Identity:
    """A chain is itself whatever its rules, an element whatever its data."""
    if isinstance(subject, Table):
        return subject, Table, "", ()
    if isinstance(subject, Element):
        return subject.set.table, Element, subject.set.name, subject.key
    return subject.table, type(subject), subject.name, ()


def _take(known: set[Table] | set[str] | set[tuple[Scalar, ...]], wanted: object) -> bool:
    if wanted not in known:
        return False
    known.discard(wanted)
    return True
