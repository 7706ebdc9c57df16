from __future__ import annotations

import threading
import time

import pytest

from agent.errors import Conflict
from agent.store.base import EventType
from agent.store.sqlite import SqliteStore
from tests.unit.store.sample import labelled, namespace, pod, pod_key


def test_a_watch_tells_what_happens_from_now_on(store: SqliteStore) -> None:
    store.create(pod("before"))
    watch = store.watch(["Pod"])
    created = store.create(pod())
    updated = store.update(labelled(created, app="web"))
    store.delete(pod_key())
    assert [(event.type, event.object.metadata.name) for event in watch.pending()] == [
        (EventType.ADDED, "web"),
        (EventType.MODIFIED, "web"),
        (EventType.DELETED, "web"),
    ]
    assert watch.pending() == []
    assert updated.metadata.labels == {"app": "web"}


def test_a_list_and_a_watch_from_its_version_miss_nothing_and_repeat_nothing(store: SqliteStore) -> None:
    store.create(pod("a"))
    listed, version = store.list("Pod")
    store.create(pod("b"))
    events = store.watch(["Pod"], since=version).pending()
    assert [thing.metadata.name for thing in listed] + [event.object.metadata.name for event in events] == ["a", "b"]


def test_a_watch_of_several_kinds_is_in_the_order_of_the_writes(store: SqliteStore) -> None:
    watch = store.watch(["Pod", "Namespace"])
    for number in range(3):
        store.create(namespace(f"n{number}"))
        store.create(pod(f"p{number}"))
    names = [event.object.metadata.name for event in watch.pending()]
    assert names == ["n0", "p0", "n1", "p1", "n2", "p2"]


def test_a_watch_hears_only_its_kinds(store: SqliteStore) -> None:
    watch = store.watch(["Namespace"])
    store.create(pod())
    assert watch.next(0) is None


def test_one_by_one_or_all_at_once_is_the_same(store: SqliteStore) -> None:
    one, all_at_once = store.watch(["Pod", "Namespace"]), store.watch(["Pod", "Namespace"])
    for number in range(4):
        store.create(pod(f"p{number}"))
        store.create(namespace(f"n{number}"))
    assert [one.next(0) for _ in range(8)] == all_at_once.pending()
    assert one.next(0) is None


def test_next_waits_for_an_event(store: SqliteStore) -> None:
    watch = store.watch(["Pod"])
    threading.Timer(0.05, store.create, [pod()]).start()
    event = watch.next(5)
    assert event is not None
    assert event.object.metadata.name == "web"


def test_next_gives_up_after_its_time(store: SqliteStore) -> None:
    start = time.monotonic()
    assert store.watch(["Pod"]).next(0.05) is None
    assert 0.04 < time.monotonic() - start < 2


def test_closing_ends_who_waits(store: SqliteStore) -> None:
    watch = store.watch(["Pod"])
    threading.Timer(0.05, watch.close).start()
    assert list(watch) == []
    store.create(pod())
    assert watch.pending() == []


def test_closing_the_store_ends_every_watch() -> None:
    store = SqliteStore(None)
    watch = store.watch(["Pod"])
    threading.Timer(0.05, store.close).start()
    assert watch.next(5) is None


def test_a_watch_that_fell_behind_the_history_is_told_so() -> None:
    with SqliteStore(None, history=8) as store:
        watch, quiet = store.watch(["Pod"]), store.watch(["Namespace"])
        store.create(namespace("n"))
        current = store.create(pod())
        for number in range(40):
            current = store.update(labelled(current, number=str(number)))
        with pytest.raises(Conflict, match="cannot watch from resourceVersion 0: "):
            watch.pending()
        with pytest.raises(Conflict):
            watch.next(0)
        assert len(quiet.pending()) == 1, "a busy kind must not push out the events of a quiet one"


def test_a_history_holds_at_least_what_it_promises() -> None:
    with SqliteStore(None, history=8) as store:
        current = store.create(pod())
        for number in range(100):
            current = store.update(labelled(current, number=str(number)))
            since = max(0, int(current.metadata.resource_version) - 8)
            assert len(store.watch(["Pod"], since=since).pending()) == min(8, number + 2)


def test_a_version_that_is_still_to_come_cannot_be_watched(store: SqliteStore) -> None:
    with pytest.raises(Conflict, match="cannot watch from resourceVersion 5: 0 to 0 are known"):
        store.watch(["Pod"], since=5)


def test_an_event_loop_is_called_when_there_is_news(store: SqliteStore) -> None:
    calls: list[int] = []
    watch = store.watch(["Pod"])
    watch.call_on_event(lambda: calls.append(len(watch.pending())))
    store.create(pod("a"))
    store.create(namespace("n"))
    store.create(pod("b"))
    assert calls == [1, 1]


def test_news_from_before_the_callback_are_told_at_once(store: SqliteStore) -> None:
    watch = store.watch(["Pod"])
    store.create(pod())
    calls: list[str] = []
    watch.call_on_event(lambda: calls.append("news"))
    assert calls == ["news"]


def test_a_callback_that_fails_does_not_stop_the_store(store: SqliteStore) -> None:
    def fail() -> None:
        raise RuntimeError("the event loop is closed")

    store.watch(["Pod"]).call_on_event(fail)
    store.create(pod("a"))
    assert store.create(pod("b")).metadata.name == "b"


def test_a_watch_that_nobody_reads_holds_nobody_up(store: SqliteStore) -> None:
    idle = [store.watch(["Pod"]) for _ in range(1000)]
    start = time.monotonic()
    for future in [store.create_soon(pod(f"p{number}")) for number in range(500)]:
        future.result()
    assert time.monotonic() - start < 5
    assert len(idle[0].pending()) == 500
