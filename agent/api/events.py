"""Events: what happened to an object, for people who ask why (core/v1 Event, shown by `events` and `describe`).

Whoever notices something calls `record`; it returns at once and the store writes when it can. The same thing
happening again raises `count` on the same Event instead of adding one, and only the newest are kept, so that a
flapping pod cannot fill the disk. An event that cannot be written is logged and forgotten: events explain, nothing
may depend on them.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from loguru import logger
from msgspec import structs

from agent.errors import PodwrightError
from agent.objects.meta import Key, Object, ObjectMeta, timestamp
from agent.objects.opaque import Opaque
from agent.store.base import Store

KEPT = 1000
_COMPONENT = "podwright"

EventType = Literal["Normal", "Warning"]


class EventLog:
    """`node_name` is written as the source's host."""

    def __init__(
        self, store: Store, *, node_name: str = "", kept: int = KEPT, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
        self._node_name = node_name
        self._kept = kept
        self._now = now
        self._lock = threading.Lock()
        known = sorted(store.list("Event")[0], key=lambda event: int(event.metadata.resource_version))
        self._events: OrderedDict[Key, Opaque] = OrderedDict((event.key, event) for event in known if isinstance(event, Opaque))

    def record(self, subject: Object, type: EventType, reason: str, message: str) -> None:
        """`reason` is one CamelCase word, `message` a sentence for people."""
        with self._lock:
            new = self._event(subject, type, reason, message)
            known = self._events.pop(new.key, None)
            event = _repeated(known, new) if known is not None else new
            self._events[event.key] = event
            write = self._store.update_soon if known is not None else self._store.create_soon
            self._write(partial(write, event))
            if len(self._events) > self._kept:
                oldest = self._least_missed()
                del self._events[oldest]
                self._write(partial(self._store.delete_soon, oldest))

    def _least_missed(self) -> Key:
        """The oldest that is no warning: a thousand new pods must not push out why one failed."""
        normal = (key for key, event in self._events.items() if event.rest.get("type") == "Normal")
        return next(normal, next(iter(self._events)))

    def _event(self, subject: Object, type: EventType, reason: str, message: str) -> Opaque:
        metadata = subject.metadata
        identity = "\0".join((*subject.key, metadata.uid, type, reason, message))
        digest = hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()
        time = timestamp(self._now())
        involved = {
            "apiVersion": subject.api_version,
            "kind": subject.kind,
            "namespace": metadata.namespace,
            "name": metadata.name,
            "uid": metadata.uid,
        }
        return Opaque(
            kind="Event",
            metadata=ObjectMeta(name=f"{metadata.name}.{digest}", namespace=metadata.namespace or "default"),
            rest={
                "involvedObject": {name: value for name, value in involved.items() if value},
                "type": type,
                "reason": reason,
                "message": message,
                "source": {"component": _COMPONENT, "host": self._node_name},
                "firstTimestamp": time,
                "lastTimestamp": time,
                "count": 1,
            },
        )

    def _write(self, submit: Callable[[], Future[Any]]) -> None:
        try:
            submit().add_done_callback(_log_failure)
        except PodwrightError as error:
            logger.debug("an event was not written: {}", error)


def _repeated(known: Opaque, new: Opaque) -> Opaque:
    again = {**known.rest, "lastTimestamp": new.rest["lastTimestamp"], "count": int(known.rest.get("count", 1)) + 1}
    return structs.replace(known, metadata=structs.replace(known.metadata, resource_version=""), rest=again)


def _log_failure(done: Future[Any]) -> None:
    error = done.exception()
    if error is not None:
        logger.debug("an event was not written: {}", error)
