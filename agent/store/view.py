"""The committed objects in memory, and the watches on them. Readers come here and never wait for the disk.

One lock guards the objects, the sorted keys and the history; it is held for microseconds and never during I/O.
Each kind has a history of its own, so that a busy kind does not push out the events of a quiet one. A watch is a
cursor into it: it costs nothing until read, cannot hold up the writer, and learns that it is too late by Expired.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from loguru import logger

from agent.errors import Expired
from agent.objects.meta import Key, Object
from agent.store.base import Event, EventType

HISTORY = 1024
"""Events kept of each kind; trimmed in halves, so between this and twice as many are there."""


@dataclass(slots=True)
class _History:
    """Events of one kind in order, each under its resourceVersion. Nothing after `forgotten` is missing."""

    forgotten: int
    versions: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def append(self, version: int, event: Event, limit: int) -> None:
        self.versions.append(version)
        self.events.append(event)
        if len(self.events) > 2 * limit:
            self.forgotten = self.versions[limit - 1]
            del self.versions[:limit]
            del self.events[:limit]

    def after(self, version: int) -> Iterator[tuple[int, Event]]:
        start = bisect_right(self.versions, version)
        return zip(self.versions[start:], self.events[start:], strict=True)

    @property
    def newest(self) -> int:
        return self.versions[-1] if self.versions else self.forgotten


class View:
    def __init__(self, objects: Iterable[Object], resource_version: int, history: int = HISTORY) -> None:
        self._lock = threading.Lock()
        self._objects = {thing.key: thing for thing in objects}
        self._keys: defaultdict[str, list[Key]] = defaultdict(list)
        for key in sorted(self._objects):
            self._keys[key.kind].append(key)
        self._resource_version = resource_version
        self._limit = history
        self._histories: dict[str, _History] = {}
        self._opened_at = resource_version
        self._watches: defaultdict[str, set[ViewWatch]] = defaultdict(set)

    def find(self, key: Key) -> Object | None:
        return self._objects.get(key)

    def list(self, kind: str, namespace: str | None = None) -> tuple[Sequence[Object], int]:
        with self._lock:
            keys = self._keys.get(kind, [])
            if namespace is not None:
                first = bisect_left(keys, Key(kind, namespace, ""))
                keys = keys[first : bisect_left(keys, Key(kind, namespace + "\0", ""), lo=first)]
            return tuple([self._objects[key] for key in keys]), self._resource_version

    def publish(self, events: Sequence[Event], resource_version: int) -> None:
        """Make committed changes visible, all at once, and wake who waits for their kinds."""
        with self._lock:
            for event in events:
                self._apply(event)
                history = self._history(event.object.key.kind)
                history.append(int(event.object.metadata.resource_version), event, self._limit)
            self._resource_version = resource_version
            woken = {watch for kind in {event.object.key.kind for event in events} for watch in self._watches[kind]}
            for watch in woken:
                watch.wake()
        for watch in woken:
            watch.call_back()

    def watch(self, kinds: Sequence[str], since: int | None = None) -> ViewWatch:
        with self._lock:
            start = self._resource_version if since is None else since
            self._check_known(kinds, start)
            watch = ViewWatch(self, self._lock, tuple(kinds), start)
            for kind in kinds:
                self._watches[kind].add(watch)
            return watch

    def close(self) -> None:
        with self._lock:
            watches = {watch for kind in self._watches.values() for watch in kind}
        for watch in watches:
            watch.close()

    def events_after(self, kinds: Sequence[str], version: int) -> Sequence[tuple[int, Event]]:
        """With the lock held. Raises Expired when some are no longer known."""
        self._check_known(kinds, version)
        histories = [self._history(kind) for kind in kinds]
        found = [pair for history in histories for pair in history.after(version)]
        return sorted(found, key=itemgetter(0)) if len(histories) > 1 else found

    def has_after(self, kinds: Sequence[str], version: int) -> bool:
        """With the lock held."""
        return any(self._history(kind).newest > version for kind in kinds)

    def forget(self, watch: ViewWatch) -> None:
        """With the lock held."""
        for kind in watch.kinds:
            self._watches[kind].discard(watch)

    @property
    def resource_version(self) -> int:
        return self._resource_version

    def _check_known(self, kinds: Sequence[str], version: int) -> None:
        oldest = max((self._history(kind).forgotten for kind in kinds), default=0)
        if not oldest <= version <= self._resource_version:
            known = f"{oldest} to {self._resource_version} are known"
            raise Expired(f"cannot watch from resourceVersion {version}: {known}", hint="list again, then watch from there")

    def _history(self, kind: str) -> _History:
        return self._histories.setdefault(kind, _History(self._opened_at))

    def _apply(self, event: Event) -> None:
        key, keys = event.object.key, self._keys[event.object.key.kind]
        if event.type is EventType.DELETED:
            del self._objects[key]
            del keys[bisect_left(keys, key)]
            return
        if event.type is EventType.ADDED:
            insort(keys, key)
        self._objects[key] = event.object


class ViewWatch:
    """A cursor into the history of some kinds; implements store.base.Watch."""

    def __init__(self, view: View, lock: threading.Lock, kinds: tuple[str, ...], since: int) -> None:
        self.kinds = kinds
        self._view = view
        self._seen = since
        self._unread: deque[Event] = deque()
        self._changed = threading.Condition(lock)
        self._is_closed = False
        self._callback: Callable[[], None] | None = None

    def next(self, timeout_s: float | None = None) -> Event | None:
        with self._changed:
            self._changed.wait_for(self._has_news, timeout_s)
            self._read()
            return self._unread.popleft() if self._unread else None

    def pending(self) -> Sequence[Event]:
        with self._changed:
            self._read()
            found = list(self._unread)
            self._unread.clear()
            return found

    def _read(self) -> None:
        """What is new, once; with the lock held."""
        if self._is_closed:
            self._unread.clear()
        elif not self._unread:
            self._unread.extend(event for _, event in self._view.events_after(self.kinds, self._seen))
            self._seen = self._view.resource_version

    def call_on_event(self, callback: Callable[[], None]) -> None:
        with self._changed:
            self._callback = callback
            has_news = self._has_news()
        if has_news:
            self.call_back()

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._view.forget(self)
            self._changed.notify_all()
        self.call_back()

    def wake(self) -> None:
        """With the lock held."""
        self._changed.notify_all()

    def call_back(self) -> None:
        """Without the lock. Somebody else's failure must not end the writer."""
        if self._callback is None:
            return
        try:
            self._callback()
        except Exception:  # noqa: BLE001
            logger.exception("a watch of {} could not be woken", ", ".join(self.kinds))

    def _has_news(self) -> bool:
        return self._is_closed or bool(self._unread) or self._view.has_after(self.kinds, self._seen)

    def __iter__(self) -> Iterator[Event]:
        while (event := self.next()) is not None:
            yield event

    def __enter__(self) -> ViewWatch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
