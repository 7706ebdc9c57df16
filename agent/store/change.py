"""What a write does to an object: pure, so that the rules of create, update and delete can be read in one place.

Each function takes the object as it is (or None) and a Stamp, and returns a Change. Identity belongs to the store:
uid, creationTimestamp, generation and deletionTimestamp are its own and a caller's values for them are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from agent.errors import AlreadyExists, Conflict, NotFound
from agent.objects.meta import Key, Object, timestamp
from agent.objects.opaque import Opaque
from agent.store.base import Event, EventType


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a write takes from its surroundings: the next resourceVersion, the time, a fresh uid."""

    resource_version: int
    now: datetime
    uid: str


@dataclass(frozen=True, slots=True)
class Change:
    """`result` is what the caller gets; `new` None removes the object; `event` None writes nothing."""

    key: Key
    result: Object | None
    new: Object | None = None
    event: Event | None = None

    @property
    def makes_room(self) -> bool:
        """An object goes or is on its way out: this is written even on a full disk. (What writes nothing needs no room.)"""
        return self.event is None or self.new is None or self.new.is_being_deleted


def created(new: Object, current: Object | None, stamp: Stamp) -> Change:
    if current is not None:
        raise AlreadyExists(f"{new.key} already exists")
    metadata = replace(
        new.metadata,
        uid=stamp.uid,
        resource_version=str(stamp.resource_version),
        generation=1,
        creation_timestamp=timestamp(stamp.now),
        deletion_timestamp=None,
        deletion_grace_period_seconds=None,
    )
    stored = replace(new, metadata=metadata)
    return Change(stored.key, stored, stored, Event(EventType.ADDED, stored))


def updated(changed: Object, current: Object | None, stamp: Stamp) -> Change:
    if current is None:
        raise NotFound(f"{changed.key} does not exist")
    _check_not_stale(changed, current)
    was = current.metadata
    kept = replace(
        changed.metadata,
        uid=was.uid,
        resource_version=was.resource_version,
        generation=was.generation,
        creation_timestamp=was.creation_timestamp,
        deletion_timestamp=was.deletion_timestamp,
        deletion_grace_period_seconds=was.deletion_grace_period_seconds,
    )
    same_identity = replace(changed, metadata=kept)
    if same_identity == current:
        return Change(current.key, current)
    if was.deletion_timestamp is not None and not kept.finalizers:
        return _removed(same_identity, current, stamp)
    generation = was.generation + (_intent(same_identity) != _intent(current))
    stored = replace(changed, metadata=replace(kept, generation=generation, resource_version=str(stamp.resource_version)))
    return Change(stored.key, stored, stored, Event(EventType.MODIFIED, stored, current))


def deleted(key: Key, current: Object | None, stamp: Stamp, *, uid: str = "", grace_period_s: int | None = None) -> Change:
    """Absence is success, and so is another uid: the object that was meant is gone."""
    if current is None or (uid and current.metadata.uid != uid):
        return Change(key, None)
    metadata = current.metadata
    if not metadata.finalizers:
        return _removed(current, current, stamp)
    if metadata.deletion_timestamp is not None and not _is_sooner(grace_period_s, metadata.deletion_grace_period_seconds):
        return Change(key, current)
    marked = replace(
        metadata,
        deletion_timestamp=timestamp(stamp.now + timedelta(seconds=grace_period_s or 0)),
        deletion_grace_period_seconds=grace_period_s or 0,
        resource_version=str(stamp.resource_version),
    )
    stored = replace(current, metadata=marked)
    return Change(key, stored, stored, Event(EventType.MODIFIED, stored, current))


def _removed(last: Object, current: Object, stamp: Stamp) -> Change:
    gone = replace(last, metadata=replace(last.metadata, resource_version=str(stamp.resource_version)))
    return Change(current.key, gone, None, Event(EventType.DELETED, gone, current))


def _check_not_stale(changed: Object, current: Object) -> None:
    seen, now = changed.metadata.resource_version, current.metadata.resource_version
    if seen and seen != now:
        raise Conflict(f"{changed.key} was changed by another: version {seen} was read, it is {now} now", hint="read it again, then retry")
    if changed.metadata.uid and changed.metadata.uid != current.metadata.uid:
        raise Conflict(f"{changed.key} was deleted and created again since it was read", hint="read it again, then retry")


def _is_sooner(wanted: int | None, agreed: int | None) -> bool:
    return wanted is not None and agreed is not None and wanted < agreed


def _intent(thing: Object) -> list[Any]:
    """Everything but metadata and status: what `generation` counts the changes of."""
    if isinstance(thing, Opaque):
        return [thing.api_version, {name: value for name, value in thing.rest.items() if name != "status"}]
    return [getattr(thing, name) for name in thing.__struct_fields__ if name not in ("metadata", "status")]
