"""What is there, read once per batch: kernels before 6.3 know no DESTROY, and refuse to delete what is absent."""

from __future__ import annotations

from typing import Protocol

from agent.kernel.nft.batch import Subject
from agent.kernel.nft.datatypes import Scalar
from agent.kernel.nft.decode import TableState
from agent.kernel.nft.objects import Chain, Element, Set, Table


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

    def take(self, subject: Subject) -> bool:
        """Whether `subject` is there; it is then gone for the next one who asks."""
        if isinstance(subject, Table):
            return _take(self._known_tables(), subject)
        if isinstance(subject, Element):
            return _take(self._known_keys(subject.set), subject.key)
        return _take(self._known_names(subject), subject.name)

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


def _take(known: set[Table] | set[str] | set[tuple[Scalar, ...]], wanted: object) -> bool:
    if wanted not in known:
        return False
    known.discard(wanted)
    return True
