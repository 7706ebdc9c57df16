from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from agent.errors import AlreadyExists, Conflict, NotFound, OutOfSpace, TemporaryError, Unavailable
from agent.objects.attachment import Attachment
from agent.objects.meta import Object, ObjectMeta
from agent.objects.opaque import Opaque
from agent.store.database import Database, Row
from agent.store.sqlite import SqliteStore
from tests.unit.store.sample import labelled, namespace, pod, pod_key, without_finalizers


def names(things: tuple[Object, ...] | list[Object]) -> list[str]:
    return [f"{thing.metadata.namespace}/{thing.metadata.name}" for thing in things]


def test_what_was_stored_is_there_after_a_restart(file: Path) -> None:
    everything = [
        pod(finalizers=("a",)),
        namespace("shop"),
        Opaque(api_version="v1", kind="LimitRange", metadata=ObjectMeta(name="c", namespace="shop"), rest={"data": {"k": "v"}}),
        Attachment(metadata=ObjectMeta(name="0123"), network="podwright", container_id="c", ifname="eth0"),
    ]
    with SqliteStore(file) as store:
        stored = [store.create(thing) for thing in everything]
        gone = store.create(pod("gone"))
        store.delete(gone.key)
    with SqliteStore(file) as store:
        assert [store.get(thing.key) for thing in stored] == stored
        assert store.find(gone.key) is None
        assert store.list("Pod")[1] == 6


def test_versions_go_on_where_they_stopped(file: Path) -> None:
    with SqliteStore(file) as store:
        store.create(pod())
        store.delete(pod_key())
    with SqliteStore(file) as store:
        assert store.create(pod()).metadata.resource_version == "3"
        with pytest.raises(Conflict):
            store.watch(["Pod"], since=1)
        assert len(store.watch(["Pod"], since=2).pending()) == 1


def test_a_list_is_in_order_and_of_one_namespace_if_asked(store: SqliteStore) -> None:
    for space, name in (("b", "y"), ("a", "z"), ("b", "x"), ("a-b", "w"), ("a", "a")):
        store.create(pod(name, space))
    store.create(namespace("a"))
    assert names([*store.list("Pod")[0]]) == ["a/a", "a/z", "a-b/w", "b/x", "b/y"]
    assert names([*store.list("Pod", "a")[0]]) == ["a/a", "a/z"]
    assert store.list("Pod", "c") == ((), 6)
    assert store.list("Service") == ((), 6)


def test_a_list_does_not_change_under_its_reader(store: SqliteStore) -> None:
    store.create(pod("a"))
    listed, _ = store.list("Pod")
    store.create(pod("b"))
    assert names([*listed]) == ["default/a"]


def test_what_is_not_there(store: SqliteStore) -> None:
    with pytest.raises(NotFound, match="pod default/web does not exist"):
        store.get(pod_key())
    assert store.find(pod_key()) is None
    assert store.delete(pod_key()) is None


def test_later_writes_of_a_batch_see_the_earlier_ones(store: SqliteStore) -> None:
    """Held at the gate, all of these are committed together."""
    held = threading.Event()
    store.create_soon(namespace("first")).add_done_callback(lambda _: held.wait(5))
    futures: list[Future[Any]] = [
        store.create_soon(pod(finalizers=("a",))),
        store.create_soon(pod()),
        store.update_soon(labelled(pod(finalizers=("a",)), app="web")),
        store.delete_soon(pod_key(), grace_period_s=3),
        store.update_soon(without_finalizers(pod())),
        store.update_soon(pod()),
        store.create_soon(pod(image="new")),
    ]
    held.set()
    errors = [type(future.exception(5)) for future in futures]
    assert errors == [type(None), AlreadyExists, type(None), type(None), type(None), NotFound, type(None)]
    assert store.get(pod_key()) == futures[-1].result()


def test_one_write_that_cannot_be_encoded_fails_alone(store: SqliteStore) -> None:
    held = threading.Event()
    store.create_soon(namespace("first")).add_done_callback(lambda _: held.wait(5))
    strange = Opaque(api_version="v1", kind="LimitRange", metadata=ObjectMeta(name="c"), rest={"data": object()})
    bad, good = store.create_soon(strange), store.create_soon(pod())
    held.set()
    assert isinstance(bad.exception(5), NotImplementedError)
    assert good.result(5).metadata.resource_version == "2"


def test_many_threads_lose_no_write(file: Path) -> None:
    def write(number: int) -> None:
        for step in range(20):
            current = store.create(pod(f"p{number}-{step}"))
            store.update(labelled(current, step=str(step)))

    with SqliteStore(file) as store, ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
        assert store.list("Pod")[1] == 320
        versions = {thing.metadata.resource_version for thing in store.list("Pod")[0]}
        assert len(versions) == 160


def test_optimistic_concurrency_counts_right(store: SqliteStore) -> None:
    store.create(labelled(pod(), n="0"))

    def count(_: int) -> None:
        while True:
            current = store.get(pod_key())
            try:
                store.update(labelled(current, n=str(int(current.metadata.labels["n"]) + 1)))
            except Conflict:
                continue
            return

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count, range(100)))
    assert store.get(pod_key()).metadata.labels == {"n": "100"}


def test_a_commit_that_fails_changes_nothing_and_is_told_to_everyone(store: SqliteStore) -> None:
    store.create(pod("a"))
    watch = store.watch(["Pod"])
    with patch.object(Database, "commit", side_effect=TemporaryError("cannot write to x: database or disk is full")):
        futures: list[Future[Any]] = [store.create_soon(pod("b")), store.delete_soon(pod_key("a"))]
        assert [type(future.exception(5)) for future in futures] == [TemporaryError, TemporaryError]
    assert names([*store.list("Pod")[0]]) == ["default/a"]
    assert watch.pending() == []
    assert store.create(pod("b")).metadata.resource_version == "2"


def test_on_a_full_disk_only_what_makes_room_is_written(file: Path) -> None:
    commit = Database.commit

    def commit_if_there_is_room(database: Database, rows: Sequence[Row], resource_version: int, *, makes_room: bool) -> None:
        if not makes_room:
            raise OutOfSpace("database or disk is full")
        commit(database, rows, resource_version, makes_room=True)

    with SqliteStore(file) as store:
        store.create(pod("gone"))
        ending, untouched = store.create(pod("ending", finalizers=("a",))), store.create(pod("untouched"))
        with patch.object(Database, "commit", commit_if_there_is_room):
            futures: list[Future[Any]] = [
                store.create_soon(pod("new")),
                store.delete_soon(pod_key("gone")),
                store.update_soon(labelled(untouched, a="b")),
                store.delete_soon(ending.key),
                store.create_soon(pod("untouched")),
            ]
            assert [type(future.exception(5)) for future in futures] == [OutOfSpace, type(None), OutOfSpace, type(None), AlreadyExists]
            store.update(without_finalizers(futures[3].result()))
        assert names([*store.list("Pod")[0]]) == ["default/untouched"]


def test_a_closed_store_takes_no_writes_and_closing_twice_is_fine(store: SqliteStore) -> None:
    future = store.create_soon(pod())
    store.close()
    store.close()
    assert future.done()
    with pytest.raises(Unavailable, match="the store is closed"):
        store.create(pod("b"))
