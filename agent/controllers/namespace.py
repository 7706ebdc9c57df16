"""Deleting a Namespace deletes what is in it, then the Namespace itself.

A finalizer on every Namespace keeps it on record until it is empty. The order is a promise: first what makes pods,
then pods, and only when the last pod is gone everything else. So a NetworkPolicy outlives the pods it protects,
and a volume claim the pods that write to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from loguru import logger
from msgspec.structs import replace

from agent.controllers import action
from agent.controllers.action import Action, Update, deletion, named
from agent.controllers.runner import Due
from agent.objects.kinds import KINDS
from agent.objects.meta import Condition, Key, Object, timestamp
from agent.objects.namespace import Namespace, NamespaceStatus
from agent.store.base import Event, EventType, Store

FINALIZER = "podwright.io/namespace"
PODS = ("Pod",)
MAKERS = ("CronJob", "Job", "Deployment", "StatefulSet", "DaemonSet", "ReplicationController", "ReplicaSet")
"""Kinds that make pods: they go first, or they would make new ones."""
_CONTENT = tuple(kind for kind, info in KINDS.items() if info.namespaced)
STAGES: tuple[tuple[str, ...], ...] = (
    tuple(kind for kind in MAKERS if kind in _CONTENT),
    PODS,
    tuple(kind for kind in _CONTENT if kind not in (*MAKERS, *PODS)),
)


@dataclass(frozen=True, slots=True)
class NamespaceController:
    store: Store
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    name: str = "namespace"
    kinds: tuple[str, ...] = ("Namespace", *_CONTENT)

    def due(self, event: Event) -> Iterable[Due]:
        """Of its content only comings and goings in a namespace that is ending are news."""
        if isinstance(event.object, Namespace):
            yield Due(event.object.key)
        elif event.type is not EventType.MODIFIED:
            key = Key("Namespace", "", event.object.metadata.namespace)
            namespace = self.store.find(key)
            if namespace is not None and namespace.is_being_deleted:
                yield Due(key)

    def reconcile(self, key: Key) -> None:
        namespace = self.store.find(key)
        if not isinstance(namespace, Namespace):
            return
        stages = [self._content(kinds, key.name) for kinds in STAGES]
        planned = plan(namespace, stages, self.now())
        for planned_action in planned:
            logger.debug("{}: {}", key, planned_action)
        action.apply(self.store, planned)

    def _content(self, kinds: Iterable[str], namespace: str) -> list[Object]:
        return [thing for kind in kinds for thing in self.store.list(kind, namespace)[0]]


def plan(namespace: Namespace, stages: Sequence[Sequence[Object]], now: datetime) -> list[Action]:
    """`stages`: what is in it, in the order in which it has to go. Makers do not hold up their pods."""
    if not namespace.is_being_deleted:
        return _protected(namespace)
    makers, pods, others = stages
    if not (makers or pods or others):
        remaining = tuple(name for name in namespace.metadata.finalizers if name != FINALIZER)
        return [Update(_with_finalizers(namespace, remaining), f"let {named(namespace.key)} go: it is empty")]
    going = [*makers, *pods] or others
    deletions = [deletion(thing, f"its namespace {namespace.metadata.name} is ending") for thing in going if not _is_ending(thing)]
    return [*_reported(namespace, [*makers, *pods, *others], now), *deletions]


def _protected(namespace: Namespace) -> list[Action]:
    if FINALIZER in namespace.metadata.finalizers:
        return []
    guarded = _with_finalizers(namespace, (*namespace.metadata.finalizers, FINALIZER))
    return [Update(guarded, f"keep {named(namespace.key)} until it is empty")]


def _reported(namespace: Namespace, content: Sequence[Object], now: datetime) -> Iterable[Action]:
    """Written once: who waits for the end wants to see what it waits for, not every step."""
    if namespace.status.phase == "Terminating":
        return
    kinds = ", ".join(sorted({thing.kind for thing in content}))
    condition = Condition(
        type="NamespaceContentRemaining",
        status="True",
        reason="SomeResourcesRemain",
        message=f"waits for the end of: {kinds}",
        last_transition_time=timestamp(now),
    )
    status = NamespaceStatus(phase="Terminating", conditions=(condition,))
    yield Update(replace(namespace, status=status), f"update status of {named(namespace.key)}: Terminating")


def _is_ending(thing: Object) -> bool:
    return thing.is_being_deleted


def _with_finalizers(namespace: Namespace, finalizers: tuple[str, ...]) -> Namespace:
    return replace(namespace, metadata=replace(namespace.metadata, finalizers=finalizers))
