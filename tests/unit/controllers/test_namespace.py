"""How a namespace ends."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from agent.controllers.namespace import FINALIZER, STAGES, NamespaceController
from agent.controllers.replica import new_pod
from agent.objects.kinds import KINDS
from agent.objects.meta import Key, ObjectMeta
from agent.objects.namespace import Namespace
from agent.objects.opaque import Opaque
from agent.store.base import Event, EventType
from tests.unit.controllers.worlds import START, MemoryStore, deployment

KEY = Key("Namespace", "", "default")
POLICY = Opaque(api_version="v1", kind="LimitRange", metadata=ObjectMeta(name="settings", namespace="default"))
ELSEWHERE = Opaque(api_version="v1", kind="LimitRange", metadata=ObjectMeta(name="settings", namespace="other"))


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.create(Namespace(metadata=ObjectMeta(name="default")))
    return store


def controller(store: MemoryStore) -> NamespaceController:
    return NamespaceController(store, now=lambda: START)


def changed(thing: Any, **metadata: Any) -> Any:
    return replace(thing, metadata=replace(thing.metadata, **metadata))


def left(store: MemoryStore) -> list[str]:
    return sorted(key.kind for key in store.objects)


def test_every_namespace_is_kept_until_it_is_empty(store: MemoryStore) -> None:
    controller(store).reconcile(KEY)
    controller(store).reconcile(KEY)
    assert store.get(KEY).metadata.finalizers == (FINALIZER,)
    assert len(store.events) == 2


def test_content_goes_in_order_and_the_namespace_last(store: MemoryStore) -> None:
    controller(store).reconcile(KEY)
    owner = store.create(deployment(1))
    pod = store.create(changed(new_pod(owner, "hash", "a"), finalizers=("podwright.io/sandbox",)))
    store.create(POLICY)
    store.create(ELSEWHERE)
    store.delete(KEY)

    controller(store).reconcile(KEY)
    assert left(store) == ["LimitRange", "LimitRange", "Namespace", "Pod"], "makers are gone, pods end"
    namespace = store.get(KEY)
    assert isinstance(namespace, Namespace)
    assert namespace.status.phase == "Terminating"
    assert namespace.status.conditions[0].message == "waits for the end of: Deployment, LimitRange, Pod"

    count = len(store.events)
    controller(store).reconcile(KEY)
    assert len(store.events) == count, "it waits for the sandbox"

    store.update(changed(store.get(pod.key), finalizers=()))
    controller(store).reconcile(KEY)
    assert left(store) == ["LimitRange", "Namespace"]
    controller(store).reconcile(KEY)
    assert left(store) == ["LimitRange"]
    assert store.find(ELSEWHERE.key) is not None


def test_anothers_finalizer_is_left_in_place(store: MemoryStore) -> None:
    store.update(changed(store.get(KEY), finalizers=("example.com/mine", FINALIZER)))
    store.delete(KEY)
    controller(store).reconcile(KEY)
    assert store.get(KEY).metadata.finalizers == ("example.com/mine",)


def test_every_namespaced_kind_has_its_stage() -> None:
    staged = [kind for stage in STAGES for kind in stage]
    assert sorted(staged) == sorted(kind for kind, info in KINDS.items() if info.namespaced)


def test_content_is_news_only_while_the_namespace_ends(store: MemoryStore) -> None:
    controller(store).reconcile(KEY)
    event = Event(EventType.DELETED, POLICY)
    assert list(controller(store).due(event)) == []
    store.delete(KEY)
    assert [due.key for due in controller(store).due(event)] == [KEY]
    assert list(controller(store).due(Event(EventType.MODIFIED, POLICY, POLICY))) == []
