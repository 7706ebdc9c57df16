"""Whose pods go with whom."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from agent.controllers.garbage import FOREGROUND, ORPHAN, GarbageCollector
from agent.controllers.replica import controller_reference, new_pod
from agent.objects.deployment import Deployment
from agent.objects.meta import OwnerReference
from agent.objects.pod import Pod
from agent.store.base import Event, EventType
from tests.unit.controllers.worlds import MemoryStore, deployment, pods_of


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def changed(thing: Any, **metadata: Any) -> Any:
    return replace(thing, metadata=replace(thing.metadata, **metadata))


def owner_of_two(store: MemoryStore, *finalizers: str) -> Deployment:
    owner: Deployment = store.create(changed(deployment(2), finalizers=finalizers))
    for name in ("a", "b"):
        store.create(new_pod(owner, "hash", name))
    return owner


def names(store: MemoryStore) -> list[str]:
    return [pod.metadata.name.rsplit("-")[-1] for pod in pods_of(store)]


def test_pods_of_a_living_owner_stay(store: MemoryStore) -> None:
    owner = owner_of_two(store)
    GarbageCollector(store, "here").reconcile(owner.key)
    assert names(store) == ["a", "b"]


def test_pods_follow_their_owner(store: MemoryStore) -> None:
    owner = owner_of_two(store)
    store.delete(owner.key)
    GarbageCollector(store, "here").reconcile(owner.key)
    assert names(store) == []


def test_a_successor_of_the_same_name_inherits_nothing(store: MemoryStore) -> None:
    owner = owner_of_two(store)
    store.delete(owner.key)
    successor = store.create(deployment(1))
    store.create(new_pod(successor, "hash", "mine"))
    GarbageCollector(store, "here").reconcile(owner.key)
    assert names(store) == ["mine"]


def test_a_pod_of_another_node_is_not_ours_to_judge(store: MemoryStore) -> None:
    """`podwright export pods` brings owner references to Deployments that live in the other node's store."""
    remote = new_pod(deployment(1), "hash", "remote")
    store.create(replace(remote, spec=replace(remote.spec, node_name="there")))
    GarbageCollector(store, "here").reconcile(deployment().key)
    assert names(store) == ["remote"]


def test_one_living_owner_is_enough_and_the_dead_one_is_forgotten(store: MemoryStore) -> None:
    owner = store.create(deployment(1))
    dead = replace(controller_reference(owner), name="gone", uid="gone", controller=False)
    pod = store.create(changed(new_pod(owner, "hash", "a"), owner_references=(dead, controller_reference(owner))))
    GarbageCollector(store, "here").reconcile(replace_name(owner, "gone").key)
    assert store.get(pod.key).metadata.owner_references == (controller_reference(owner),)


def replace_name(owner: Deployment, name: str) -> Deployment:
    return replace(owner, metadata=replace(owner.metadata, name=name))


def test_an_owner_of_a_kind_nobody_knows_is_taken_to_be_alive(store: MemoryStore) -> None:
    strange = OwnerReference(api_version="example.com/v1", kind="Rocket", name="r", uid="r")
    owner = deployment(1)
    pod = store.create(changed(new_pod(owner, "hash", "a"), owner_references=(strange, controller_reference(owner))))
    GarbageCollector(store, "here").reconcile(owner.key)
    assert store.get(pod.key).metadata.owner_references == (strange,)


def test_foreground_deletion_waits_for_the_pods(store: MemoryStore) -> None:
    owner = owner_of_two(store, FOREGROUND)
    guarded = [store.update(changed(pod, finalizers=("podwright.io/sandbox",))) for pod in pods_of(store)]
    store.delete(owner.key)
    collector = GarbageCollector(store, "here")
    collector.reconcile(owner.key)
    assert all(pod.metadata.deletion_timestamp for pod in pods_of(store))
    collector.reconcile(owner.key)
    assert store.find(owner.key) is not None, "its pods still end"
    for pod in guarded:
        store.update(changed(store.get(pod.key), finalizers=()))
    collector.reconcile(owner.key)
    assert store.find(owner.key) is None


def test_orphaning_leaves_the_pods_behind(store: MemoryStore) -> None:
    owner = owner_of_two(store, ORPHAN)
    store.delete(owner.key)
    collector = GarbageCollector(store, "here")
    collector.reconcile(owner.key)
    collector.reconcile(owner.key)
    assert store.find(owner.key) is None
    assert names(store) == ["a", "b"]
    assert all(pod.metadata.owner_references == () for pod in pods_of(store))


def test_a_pod_that_ends_already_is_left_to_end(store: MemoryStore) -> None:
    owner = owner_of_two(store)
    first: Pod = pods_of(store)[0]
    store.update(changed(first, finalizers=("podwright.io/sandbox",)))
    store.delete(owner.key)
    GarbageCollector(store, "here").reconcile(owner.key)
    count = len(store.events)
    GarbageCollector(store, "here").reconcile(owner.key)
    assert len(store.events) == count


def test_which_events_are_news() -> None:
    collector = GarbageCollector(MemoryStore(), "here")
    owner, pod = deployment(1), new_pod(deployment(1), "hash", "a")
    adopted = changed(pod, owner_references=())

    def heard(event: Event) -> list[str]:
        return [str(due.key) for due in collector.due(event)]

    assert heard(Event(EventType.ADDED, pod)) == ["deployment default/web"]
    assert heard(Event(EventType.MODIFIED, pod, pod)) == []
    assert heard(Event(EventType.MODIFIED, pod, adopted)) == ["deployment default/web"]
    assert heard(Event(EventType.DELETED, pod)) == ["deployment default/web"]
    assert heard(Event(EventType.ADDED, owner)) == []
    assert heard(Event(EventType.DELETED, owner)) == ["deployment default/web"]
