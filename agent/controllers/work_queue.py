"""Keys that wait to be worked on: each at most once, never two workers on one key.

A key added while it waits is the same piece of work; a key added while it is worked on is worked on again
afterwards. So no change is missed and a burst of events costs one pass. A delayed key comes at the earliest time
asked for. Time comes in through `clock`, so tests need not sleep.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
_STALE_LIMIT = 64
"""A key that came sooner than planned leaves an entry behind; so many may gather before they are swept out."""


class WorkQueue(Generic[K]):
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._ready: deque[K] = deque()
        self._waiting: set[K] = set()
        self._running: set[K] = set()
        self._due: dict[K, float] = {}
        self._delayed: list[tuple[float, int, K]] = []
        self._number = 0
        self._is_closed = False

    def add(self, key: K, after_s: float = 0.0) -> None:
        with self._changed:
            if after_s > 0:
                self._delay(key, self._clock() + after_s)
            else:
                self._enqueue(key)
            self._changed.notify()

    def take(self) -> K | None:
        """Wait for a key; None when the queue is closed. Every key taken must be given to `done`."""
        with self._changed:
            while not self._is_closed:
                next_due_s = self._promote()
                if self._ready:
                    key = self._ready.popleft()
                    self._waiting.discard(key)
                    self._running.add(key)
                    return key
                self._changed.wait(next_due_s)
            return None

    def done(self, key: K) -> None:
        with self._changed:
            self._running.discard(key)
            if key in self._waiting:
                self._ready.append(key)
                self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _enqueue(self, key: K) -> None:
        self._due.pop(key, None)
        if key in self._waiting:
            return
        self._waiting.add(key)
        if key not in self._running:
            self._ready.append(key)

    def _delay(self, key: K, due: float) -> None:
        if key in self._waiting or self._due.get(key, due + 1) <= due:
            return
        self._due[key] = due
        self._number += 1
        heapq.heappush(self._delayed, (due, self._number, key))
        if len(self._delayed) > 2 * len(self._due) + _STALE_LIMIT:
            self._delayed = [entry for entry in self._delayed if self._due.get(entry[2]) == entry[0]]
            heapq.heapify(self._delayed)

    def _promote(self) -> float | None:
        """Make ready what is due; the seconds until the next one is, None if nothing is delayed."""
        now = self._clock()
        while self._delayed:
            due, _, key = self._delayed[0]
            if due > now:
                return due - now
            heapq.heappop(self._delayed)
            if self._due.get(key) == due:
                self._enqueue(key)
        return None
