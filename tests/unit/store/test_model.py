"""Random operations against a plain dictionary, with the store closed and opened again in between."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.errors import AlreadyExists, Conflict, NotFound
from agent.objects.pod import Pod
from agent.store.base import EventType
from agent.store.sqlite import SqliteStore
from tests.unit.store.sample import labelled, pod, pod_key

NAMES = ("a", "b", "c")


@dataclass(frozen=True)
class Operation:
    verb: str
    name: str
    label: str
    finalizers: tuple[str, ...]
    is_stale: bool

    def pod(self) -> Pod:
        return labelled(pod(self.name, finalizers=self.finalizers), x=self.label)


@dataclass
class Model:
    """label, finalizers and whether it is being deleted, by name."""

    pods: dict[str, tuple[str, tuple[str, ...], bool]] = field(default_factory=dict)
    writes: int = 0

    def run(self, step: Operation) -> type[Exception] | None:
        current = self.pods.get(step.name)
        if step.verb == "create":
            if current is not None:
                return AlreadyExists
            self._put(step.name, (step.label, step.finalizers, False))
        elif step.verb == "update":
            return self._update(step, current)
        elif current is not None:
            self._delete(step.name, current)
        return None

    def _update(self, step: Operation, current: tuple[str, tuple[str, ...], bool] | None) -> type[Exception] | None:
        if current is None:
            return NotFound
        if step.is_stale:
            return Conflict
        wanted = (step.label, step.finalizers, current[2])
        if wanted != current:
            self._put(step.name, None if current[2] and not step.finalizers else wanted)
        return None

    def _delete(self, name: str, current: tuple[str, tuple[str, ...], bool]) -> None:
        label, finalizers, is_leaving = current
        if not finalizers:
            self._put(name, None)
        elif not is_leaving:
            self._put(name, (label, finalizers, True))

    def _put(self, name: str, value: tuple[str, tuple[str, ...], bool] | None) -> None:
        self.writes += 1
        self.pods.pop(name, None)
        if value is not None:
            self.pods[name] = value


def run(store: SqliteStore, step: Operation) -> type[Exception] | None:
    wanted = step.pod()
    if step.is_stale:
        wanted = replace(wanted, metadata=replace(wanted.metadata, resource_version="999999"))
    try:
        if step.verb == "create":
            store.create(wanted)
        elif step.verb == "update":
            store.update(wanted)
        else:
            store.delete(pod_key(step.name))
    except (AlreadyExists, NotFound, Conflict) as error:
        return type(error)
    return None


def seen(thing: Pod) -> tuple[str, tuple[str, ...], bool]:
    metadata = thing.metadata
    return metadata.labels["x"], metadata.finalizers, metadata.deletion_timestamp is not None


OPERATIONS = st.builds(
    Operation,
    verb=st.sampled_from(["create", "update", "update", "delete", "reopen"]),
    name=st.sampled_from(NAMES),
    label=st.sampled_from("xyz"),
    finalizers=st.sampled_from([(), ("f",), ("f", "g")]),
    is_stale=st.sampled_from([False, False, False, True]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(OPERATIONS, max_size=30))
def test_the_store_behaves_like_a_dictionary(steps: list[Operation]) -> None:
    model, replayed = Model(), dict[str, Pod]()
    with tempfile.TemporaryDirectory() as directory:
        store = SqliteStore(Path(directory, "db"))
        watch = store.watch(["Pod"])
        for step in steps:
            if step.verb == "reopen":
                store.close()
                store = SqliteStore(Path(directory, "db"))
                watch = store.watch(["Pod"])
            else:
                assert run(store, step) is model.run(step)
            for event in watch.pending():
                assert isinstance(event.object, Pod)
                assert event.old == replayed.get(event.object.metadata.name)
                if event.type is EventType.DELETED:
                    del replayed[event.object.metadata.name]
                else:
                    replayed[event.object.metadata.name] = event.object
            listed, version = store.list("Pod")
            assert {thing.metadata.name: thing for thing in listed} == replayed
            assert {name: seen(thing) for name, thing in replayed.items()} == model.pods
            assert version == model.writes
        store.close()
