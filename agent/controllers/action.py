"""What a controller wants changed in the store, as values that print themselves; and `apply`, which does them.

All are submitted before the first is waited for: the store commits what waits together with one fsync, so
creating 300 pods costs about as much as creating one.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, Protocol

from agent.errors import Conflict
from agent.objects.meta import Key, Object
from agent.objects.pod import Pod
from agent.store.base import Store


class Action(Protocol):
    def submit(self, store: Store) -> Future[Any]: ...


@dataclass(frozen=True, slots=True)
class Create:
    new: Object

    def __str__(self) -> str:
        return f"create {named(self.new.key)}"

    def submit(self, store: Store) -> Future[Any]:
        return store.create_soon(self.new)


@dataclass(frozen=True, slots=True)
class Delete:
    """`uid` makes sure that a successor of the same name is spared."""

    key: Key
    uid: str
    reason: str
    grace_period_s: int | None = None

    def __str__(self) -> str:
        return f"delete {named(self.key)} ({self.reason})"

    def submit(self, store: Store) -> Future[Any]:
        return store.delete_soon(self.key, uid=self.uid, grace_period_s=self.grace_period_s)


@dataclass(frozen=True, slots=True)
class Update:
    """`what` says it in words: "adopt pod web-1", "update status of deployment web: 2/3 ready"."""

    changed: Object
    what: str

    def __str__(self) -> str:
        return self.what

    def submit(self, store: Store) -> Future[Any]:
        return store.update_soon(self.changed)


def deletion(thing: Object, reason: str) -> Delete:
    """A pod gets the grace period it asks for."""
    grace_period_s = thing.spec.termination_grace_period_seconds if isinstance(thing, Pod) else None
    return Delete(thing.key, thing.metadata.uid, reason, grace_period_s)


def named(key: Key) -> str:
    """As a person says it inside one namespace: "pod web-1"."""
    return f"{key.kind.lower()} {key.name}"


def apply(store: Store, actions: Sequence[Action]) -> None:
    """Do all; an error of one does not keep the others from being done. Raises the most telling of the failures."""
    futures = [action.submit(store) for action in actions]
    wait(futures)
    failures = [failure for future in futures if (failure := future.exception()) is not None]
    if failures:
        raise next((failure for failure in failures if not isinstance(failure, Conflict)), failures[0])
