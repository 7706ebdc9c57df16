"""Removes pods whose owner is gone, and lets an owner that waits for its pods go once they are.

An owner is meant by name and uid: a successor of the same name inherits nothing. `foregroundDeletion` on an owner
means "my dependents first", `orphan` means "keep them"; both are Kubernetes' finalizers, and without one the owner
vanishes at once and its pods follow. Pods of other nodes are left alone: their owners live in another store.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from loguru import logger
from msgspec.structs import replace

from agent.controllers import action
from agent.controllers.action import Action, Update, deletion, named
from agent.controllers.runner import Due
from agent.objects.kinds import KINDS
from agent.objects.meta import Key, Object, OwnerReference
from agent.objects.pod import Pod
from agent.store.base import Event, EventType, Store

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
OWNERS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job")
SETTLE_S = 0.05


@dataclass(frozen=True, slots=True)
class GarbageCollector:
    """Its keys are those of owners, present or not."""

    store: Store
    node_name: str
    name: str = "garbage"

    @property
    def kinds(self) -> tuple[str, ...]:
        return (*(kind for kind in OWNERS if kind in KINDS), "Pod")

    def due(self, event: Event) -> Iterable[Due]:
        if isinstance(event.object, Pod):
            if event.type is not EventType.MODIFIED or _owners(event.object) != _owners(event.old):
                yield from (Due(key, SETTLE_S) for key in owner_keys(event.object))
        elif event.type is EventType.DELETED or event.object.is_being_deleted:
            yield Due(event.object.key)

    def reconcile(self, key: Key) -> None:
        owner = self.store.find(key)
        pods = self.store.list("Pod", key.namespace or None)[0]
        dependents = [pod for pod in pods if isinstance(pod, Pod) and self._is_here(pod) and key in owner_keys(pod)]
        planned = [*self._dangling(key, dependents), *(_ending(owner, dependents) if owner is not None else ())]
        for planned_action in planned:
            logger.debug("{}: {}", key, planned_action)
        action.apply(self.store, planned)

    def _is_here(self, pod: Pod) -> bool:
        return pod.spec.node_name in ("", self.node_name)

    def _dangling(self, key: Key, dependents: Iterable[Pod]) -> Iterable[Action]:
        """A pod with a living owner left only loses the dead one's reference."""
        for pod in dependents:
            living = tuple(r for r in pod.metadata.owner_references if self._is_alive(r, pod))
            if len(living) == len(pod.metadata.owner_references) or pod.is_being_deleted:
                continue
            if living:
                yield _owned_by(pod, living, f"forget the owner of {named(pod.key)} that is gone")
            else:
                yield deletion(pod, f"its {named(key)} is gone")

    def _is_alive(self, reference: OwnerReference, pod: Pod) -> bool:
        """What cannot be looked up here is taken to be alive."""
        key = _owner_key(reference, pod)
        owner = self.store.find(key) if key is not None else None
        return key is None or (owner is not None and owner.metadata.uid == reference.uid)


def owner_keys(pod: Pod) -> tuple[Key, ...]:
    return tuple(key for reference in pod.metadata.owner_references if (key := _owner_key(reference, pod)) is not None)


def _owner_key(reference: OwnerReference, pod: Pod) -> Key | None:
    known = KINDS.get(reference.kind)
    if known is None:
        return None
    return Key(reference.kind, pod.metadata.namespace if known.namespaced else "", reference.name)


def _owners(thing: Object | None) -> tuple[OwnerReference, ...]:
    return thing.metadata.owner_references if thing is not None else ()


def _ending(owner: Object, dependents: Iterable[Pod]) -> Iterable[Action]:
    """What the deletion of an owner with one of the two finalizers asks for next."""
    if not owner.is_being_deleted:
        return
    uid, finalizers = owner.metadata.uid, owner.metadata.finalizers
    mine = [pod for pod in dependents if any(r.uid == uid for r in pod.metadata.owner_references)]
    if ORPHAN in finalizers and mine:
        for pod in mine:
            kept = tuple(r for r in pod.metadata.owner_references if r.uid != uid)
            yield _owned_by(pod, kept, f"orphan {named(pod.key)}")
    elif ORPHAN in finalizers:
        yield _without_finalizer(owner, ORPHAN)
    elif FOREGROUND in finalizers and mine:
        yield from (deletion(pod, "its owner waits for it") for pod in mine if not pod.is_being_deleted)
    elif FOREGROUND in finalizers:
        yield _without_finalizer(owner, FOREGROUND)


def _owned_by(pod: Pod, references: tuple[OwnerReference, ...], what: str) -> Update:
    return Update(replace(pod, metadata=replace(pod.metadata, owner_references=references)), what)


def _without_finalizer(owner: Object, finalizer: str) -> Update:
    remaining = tuple(name for name in owner.metadata.finalizers if name != finalizer)
    changed = replace(owner, metadata=replace(owner.metadata, finalizers=remaining))
    return Update(changed, f"remove finalizer {finalizer} of {named(owner.key)}")
