"""Where desired state lives: the Store protocol that everything above is written against.

Writes are durable when the call returns (or the future resolves). resourceVersion grows by one per write over
the whole store. Readers see only committed objects. The embedded store is sqlite.py; a Kubernetes API store
can stand beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

from agent.objects.meta import Key, Object

ObjectT = TypeVar("ObjectT", bound=Object)


class EventType(StrEnum):
    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Event:
    """One committed change. `object` is the new value (the last one, for DELETED); `old` the one before, if any."""

    type: EventType
    object: Object
    old: Object | None = None


class Watch(Protocol):
    """A subscription; it never blocks the writer. Falling behind by more than the history raises Expired."""

    def next(self, timeout_s: float | None = None) -> Event | None:
        """The next event, or None after the time-out or after close()."""

    def pending(self) -> Sequence[Event]:
        """All events that are there now, without waiting."""

    def call_on_event(self, callback: Callable[[], None]) -> None:
        """For event loops: call `callback` from the writer's thread when pending() has news. It must not block."""

    def close(self) -> None: ...

    def __iter__(self) -> Iterator[Event]: ...


class Store(Protocol):
    def get(self, key: Key) -> Object:
        """Raises NotFound."""

    def find(self, key: Key) -> Object | None: ...

    def list(self, kind: str, namespace: str | None = None) -> tuple[Sequence[Object], int]:
        """The objects of a kind (of one namespace, if given) by name, and the store's resourceVersion then."""

    def create(self, new: ObjectT) -> ObjectT:
        """Sets uid, creationTimestamp, generation and resourceVersion. Raises AlreadyExists."""

    def update(self, changed: ObjectT) -> ObjectT:
        """Replaces; raises NotFound, and Conflict when metadata.resourceVersion is set and stale.

        An update that changes nothing is not written. generation grows when anything but metadata and status changes.
        An object with a deletionTimestamp whose last finalizer goes is deleted.
        """

    def delete(self, key: Key, *, uid: str = "", grace_period_s: int | None = None) -> Object | None:
        """With finalizers left: sets deletionTimestamp and returns the object; else removes it.

        Absent, or there with another uid: None. The grace period is the caller's to choose (None: 0), and can be shortened later.
        """

    def create_soon(self, new: ObjectT) -> Future[ObjectT]:
        """As create, without waiting for the disk: the caller overlaps its own work with the fsync."""

    def update_soon(self, changed: ObjectT) -> Future[ObjectT]: ...

    def delete_soon(self, key: Key, *, uid: str = "", grace_period_s: int | None = None) -> Future[Object | None]: ...

    def watch(self, kinds: Sequence[str], since: int | None = None) -> Watch:
        """Events of these kinds after resourceVersion `since` (None: from now). Raises Expired when those are not known any more."""

    def close(self) -> None: ...
