"""What happened to an object, kept short."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.api.events import EventLog
from agent.objects.encode import to_document
from agent.objects.meta import ObjectMeta
from agent.objects.node import Node
from agent.store.sqlite import SqliteStore

WEB = Node(metadata=ObjectMeta(name="node-1", uid="u-1"))


@pytest.fixture
def store() -> SqliteStore:
    return SqliteStore(None)


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=10)
        return self.now


def stored(store: SqliteStore) -> list[dict[str, Any]]:
    store.delete_soon(WEB.key).result()  # what was submitted before is done when this is
    events = sorted(store.list("Event")[0], key=lambda event: int(event.metadata.resource_version))
    return [to_document(event) for event in events]


def test_an_event_says_what_happened_to_whom(store: SqliteStore) -> None:
    EventLog(store, node_name="node-1", now=Clock()).record(WEB, "Warning", "FailedMount", "no such image")
    (event,) = stored(store)
    assert event["involvedObject"] == {"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "u-1"}
    assert (event["type"], event["reason"], event["message"], event["count"]) == ("Warning", "FailedMount", "no such image", 1)
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-01-01T00:00:10Z"
    assert event["metadata"]["namespace"] == "default"


def test_the_same_again_is_counted(store: SqliteStore) -> None:
    log = EventLog(store, now=Clock())
    for message in ("a", "b", "a", "a"):
        log.record(WEB, "Normal", "Seen", message)
    assert [(event["message"], event["count"]) for event in stored(store)] == [("b", 1), ("a", 3)]
    assert stored(store)[1]["lastTimestamp"] == "2026-01-01T00:00:40Z"


def test_only_the_newest_are_kept(store: SqliteStore) -> None:
    log = EventLog(store, kept=3, now=Clock())
    for number in range(10):
        log.record(WEB, "Normal", "Seen", f"number {number}")
    assert [event["message"] for event in stored(store)] == ["number 7", "number 8", "number 9"]


def test_a_new_log_goes_on_where_the_last_one_stopped(store: SqliteStore) -> None:
    clock = Clock()
    EventLog(store, now=clock).record(WEB, "Normal", "Seen", "a")
    stored(store)
    EventLog(store, now=clock).record(WEB, "Normal", "Seen", "a")
    assert [event["count"] for event in stored(store)] == [2]


def test_a_closed_store_harms_nobody(store: SqliteStore) -> None:
    log = EventLog(store)
    store.close()
    record: Callable[..., None] = log.record
    record(WEB, "Normal", "Seen", "too late")
