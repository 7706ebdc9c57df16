"""Runs controllers: events become keys, keys wait in a queue, a few threads reconcile them.

A controller is level-triggered: an event only says which key to look at, and `reconcile` reads the store anew. So
events may come twice, late or not at all (a watch that fell behind lists again) and the outcome is the same. What
raises is repeated with a growing delay and some jitter, for ever: nothing here may give up on a user's object.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from loguru import logger

from agent.controllers.work_queue import WorkQueue
from agent.errors import Conflict, Expired, PodwrightError
from agent.objects.meta import Key
from agent.store.base import Event, EventType, Store, Watch

THREADS = 2


class Due(NamedTuple):
    """Look at `key`, after `after_s` seconds: bursts of little news are gathered into one look."""

    key: Key
    after_s: float = 0.0


class Controller(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def kinds(self) -> Sequence[str]:
        """What it wants to hear of."""

    def due(self, event: Event) -> Iterable[Due]:
        """What to look at because of this event. Must be quick."""

    def reconcile(self, key: Key) -> float | None:
        """Bring what `key` names closer to where it should be. Returns seconds after which to look again, if any."""


@dataclass(frozen=True, slots=True)
class BackOff:
    """`jitter` returns 0..1; up to a quarter is added, so that what failed together does not return together."""

    first_s: float = 0.02
    most_s: float = 30.0
    jitter: Callable[[], float] = field(default=random.random)

    def delay_s(self, failures: int) -> float:
        """After the `failures`th failure in a row, counted from one."""
        plain = min(self.first_s * 2.0 ** min(failures - 1, 32), self.most_s)
        return plain * (1 + self.jitter() / 4)


class _Work(NamedTuple):
    controller: Controller
    key: Key


class Runner:
    def __init__(self, store: Store, controllers: Sequence[Controller], *, threads: int = THREADS, back_off: BackOff = BackOff()) -> None:
        self._store, self._controllers, self._back_off = store, tuple(controllers), back_off
        self._kinds = tuple(dict.fromkeys(kind for c in controllers for kind in c.kinds))
        self._listeners = {kind: [c for c in controllers if kind in c.kinds] for kind in self._kinds}
        self._queue: WorkQueue[_Work] = WorkQueue()
        self._failures: dict[_Work, int] = {}
        self._watch: Watch | None = None
        self._gate = threading.Lock()
        self._is_stopped = False
        workers = [threading.Thread(target=self._work, name=f"controller-{n}", daemon=True) for n in range(threads)]
        self._threads = (threading.Thread(target=self._listen, name="controller-watch", daemon=True), *workers)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish what is being reconciled, begin nothing more."""
        with self._gate:
            self._is_stopped = True
            if self._watch is not None:
                self._watch.close()
        self._queue.close()
        for thread in self._threads:
            thread.join()

    def look_at(self, controller: Controller, key: Key) -> None:
        """Something else than the store says that there may be something to do."""
        self._queue.add(_Work(controller, key))

    def _listen(self) -> None:
        while True:
            watch = None
            try:
                if (watch := self._list_and_watch()) is None:
                    return
                for event in watch:
                    self._hear(event)
                return
            except Expired as error:
                logger.debug("controllers list again: {}", error)
            finally:
                if watch is not None:
                    watch.close()

    def _list_and_watch(self) -> Watch | None:
        """Every object once as if it were new, then what changes after the first list was read."""
        seen: int | None = None
        for kind in self._kinds:
            objects, version = self._store.list(kind)
            seen = version if seen is None else seen
            for found in objects:
                self._hear(Event(EventType.ADDED, found))
        with self._gate:
            self._watch = None if self._is_stopped else self._store.watch(self._kinds, seen)
            return self._watch

    def _hear(self, event: Event) -> None:
        for controller in self._listeners[event.object.key.kind]:
            for key, after_s in controller.due(event):
                self._queue.add(_Work(controller, key), after_s)

    def _work(self) -> None:
        while (work := self._queue.take()) is not None:
            self._reconcile(work)
            self._queue.done(work)

    def _reconcile(self, work: _Work) -> None:
        try:
            again_after_s = work.controller.reconcile(work.key)
        except Exception as error:  # noqa: BLE001 - a bug with one object must not stop the others
            again_after_s = self._failed(work, error)
        else:
            self._failures.pop(work, None)
        if again_after_s is not None:
            self._queue.add(work, again_after_s)

    def _failed(self, work: _Work, error: Exception) -> float:
        """Losing a race for an object is daily business; anything else is worth a line, a bug its traceback."""
        failures = self._failures[work] = self._failures.get(work, 0) + 1
        delay_s = self._back_off.delay_s(failures)
        subject = "" if f"{work.key.namespace}/{work.key.name}" in str(error) else f"{work.key}: "
        line = f"{work.controller.name}: {subject}{error}; trying again in {delay_s:.2f} s"
        if isinstance(error, Conflict):
            logger.debug(line)
        elif isinstance(error, PodwrightError):
            logger.warning(line)
        else:
            logger.opt(exception=error).error(line)
        return delay_s
