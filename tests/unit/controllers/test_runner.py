"""Controllers running on the real store: threads, watch and queue together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from agent import controllers
from agent.controllers.runner import BackOff, Due, Runner
from agent.errors import Expired, Unavailable
from agent.objects.deployment import Deployment
from agent.objects.meta import Key, Object, ObjectMeta
from agent.objects.namespace import Namespace
from agent.objects.pod import Pod
from agent.store.base import Event, Store
from agent.store.sqlite import SqliteStore
from tests.unit.controllers.worlds import deployment, ready, template

SOON_S = 10.0
KEY = Key("Deployment", "default", "web")


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with SqliteStore(None) as opened:
        yield opened


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON_S
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def namespace(name: str) -> Namespace:
    return Namespace(metadata=ObjectMeta(name=name))


class Recorder:
    """Looks at Namespaces; fails the first `failures` times."""

    name = "recorder"
    kinds = ("Namespace",)

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.seen: list[str] = []
        self.at_work: set[str] = set()
        self.overlaps: list[str] = []

    def due(self, event: Event) -> Iterable[Due]:
        yield Due(event.object.key)

    def reconcile(self, key: Key) -> float | None:
        if key.name in self.at_work:
            self.overlaps.append(key.name)
        self.at_work.add(key.name)
        time.sleep(0.001)
        self.at_work.discard(key.name)
        self.seen.append(key.name)
        if len(self.seen) <= self.failures:
            raise Unavailable("not yet")
        return None


def running(store: Store, controller: Recorder) -> Runner:
    runner = Runner(store, [controller], threads=4, back_off=BackOff(first_s=0.001, jitter=lambda: 0))
    runner.start()
    return runner


def test_what_is_there_and_what_comes_is_looked_at(store: SqliteStore) -> None:
    store.create(namespace("before"))
    recorder = Recorder()
    runner = running(store, recorder)
    store.create(namespace("after"))
    wait_for(lambda: {"before", "after"} <= set(recorder.seen))
    runner.stop()


def test_what_fails_is_tried_again(store: SqliteStore) -> None:
    recorder = Recorder(failures=5)
    runner = running(store, recorder)
    store.create(namespace("a"))
    wait_for(lambda: len(recorder.seen) == 6)
    runner.stop()
    assert set(recorder.seen) == {"a"}


def test_a_key_is_never_in_two_hands(store: SqliteStore) -> None:
    recorder = Recorder()
    runner = running(store, recorder)
    for number in range(50):
        store.update(
            replace(
                store.find(Key("Namespace", "", "a")) or store.create(namespace("a")),
                metadata=ObjectMeta(name="a", labels={"n": str(number)}),
            )
        )
    wait_for(lambda: bool(recorder.seen))
    runner.stop()
    assert recorder.overlaps == []
    assert len(recorder.seen) <= 51


def test_a_watch_that_fell_behind_lists_again(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = store.watch, iter([True])

    def watch(kinds: tuple[str, ...], since: int | None = None) -> object:
        return Stale() if next(calls, False) else real(kinds, since)

    monkeypatch.setattr(store, "watch", watch)
    recorder = Recorder()
    runner = running(store, recorder)
    store.create(namespace("a"))
    wait_for(lambda: "a" in recorder.seen)
    runner.stop()


class Stale:
    """A watch that is too late from the start."""

    def __iter__(self) -> Iterator[Event]:
        raise Expired("too old")

    def close(self) -> None:
        pass


def test_stopping_ends_every_thread(store: SqliteStore) -> None:
    before = threading.active_count()
    runner = running(store, Recorder())
    runner.stop()
    assert threading.active_count() == before


def test_switched_off_nothing_runs(store: SqliteStore) -> None:
    before = threading.active_count()
    off = controllers.start(store, "node", enabled=False)
    assert threading.active_count() == before
    off.stop()


def pods(store: Store) -> list[Pod]:
    return [pod for pod in store.list("Pod")[0] if isinstance(pod, Pod)]


def found(store: Store) -> Deployment:
    deployment_found = store.get(KEY)
    assert isinstance(deployment_found, Deployment)
    return deployment_found


def admit(new: Object, _old: Object | None) -> Object:
    """As the daemon does: this node, and a finalizer that holds the pod until its sandbox is gone."""
    assert isinstance(new, Pod)
    metadata = replace(new.metadata, finalizers=("podwright.io/sandbox",))
    return replace(new, metadata=metadata, spec=replace(new.spec, node_name="node"))


class Sandboxes:
    """Makes every pod ready, and lets every ending pod go."""

    def __init__(self, store: Store) -> None:
        self._store, self._watch = store, store.watch(["Pod"])
        self._pool = ThreadPoolExecutor(1)
        self._done: Future[None] = self._pool.submit(self._run)

    def _run(self) -> None:
        for event in self._watch:
            pod = self._store.find(event.object.key)
            if not isinstance(pod, Pod):
                continue
            if pod.metadata.deletion_timestamp:
                self._store.update_soon(replace(pod, metadata=replace(pod.metadata, finalizers=())))
            elif not pod.status.conditions:
                self._store.update_soon(ready(pod))

    def stop(self) -> None:
        self._watch.close()
        self._done.result()
        self._pool.shutdown()


@pytest.fixture
def cluster(store: SqliteStore) -> Iterator[SqliteStore]:
    sandboxes, running_controllers = Sandboxes(store), controllers.start(store, "node", admit=admit)
    yield store
    running_controllers.stop()
    running_controllers.stop()
    sandboxes.stop()


def is_rolled_out(store: Store, count: int) -> bool:
    status = found(store).status
    return (
        status.observed_generation == found(store).metadata.generation
        and status.available_replicas == status.updated_replicas == status.replicas == count
    )


def test_three_hundred_pods_then_another_template_then_none(cluster: SqliteStore) -> None:
    cluster.create(deployment(300))
    wait_for(lambda: is_rolled_out(cluster, 300))
    assert {pod.spec.node_name for pod in pods(cluster)} == {"node"}

    first = {pod.metadata.uid for pod in pods(cluster)}
    cluster.update(
        replace(
            found(cluster),
            metadata=replace(found(cluster).metadata, resource_version=""),
            spec=replace(found(cluster).spec, template=template("v2")),
        )
    )
    wait_for(lambda: is_rolled_out(cluster, 300) and len(pods(cluster)) == 300)
    assert not first & {pod.metadata.uid for pod in pods(cluster)}

    cluster.delete(KEY)
    wait_for(lambda: not pods(cluster))


def test_a_namespace_takes_its_deployment_along(cluster: SqliteStore) -> None:
    cluster.create(namespace("default"))
    cluster.create(deployment(5))
    wait_for(lambda: is_rolled_out(cluster, 5) and bool(cluster.get(Key("Namespace", "", "default")).metadata.finalizers))
    cluster.delete(Key("Namespace", "", "default"))
    wait_for(lambda: cluster.find(Key("Namespace", "", "default")) is None)
    assert pods(cluster) == []
    assert cluster.find(KEY) is None
