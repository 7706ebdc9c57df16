"""Keeps the pods of each Deployment at the number and template it asks for: reads, plans, applies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import SystemRandom

from loguru import logger

from agent.controllers import action, deployment_plan
from agent.controllers.action import Action, Create
from agent.controllers.replica import controller_of, suffixes
from agent.controllers.runner import Due
from agent.objects.deployment import Deployment
from agent.objects.meta import Key, Object
from agent.objects.pod import Pod
from agent.store.base import Event, EventType, Store

Admit = Callable[[Object, Object | None], Object]
SETTLE_S = 0.05
"""News of pods is gathered for so long: 300 pods becoming ready are a few looks, not 300."""


@dataclass(frozen=True, slots=True)
class DeploymentController:
    """`admit` gives a new pod this node's defaults, as the API does for pods that users create."""

    store: Store
    admit: Admit
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    name: str = "deployment"
    kinds: tuple[str, ...] = ("Deployment", "Pod")

    def due(self, event: Event) -> Iterable[Due]:
        if isinstance(event.object, Deployment):
            if event.type is not EventType.DELETED:
                yield Due(event.object.key)
            return
        for pod in (event.object, event.old):
            if isinstance(pod, Pod):
                yield from (Due(key, SETTLE_S) for key in self._concerned(pod))

    def reconcile(self, key: Key) -> float | None:
        deployment = self.store.find(key)
        if not isinstance(deployment, Deployment):
            return None
        pods = [pod for pod in self.store.list("Pod", key.namespace)[0] if isinstance(pod, Pod)]
        planned = deployment_plan.plan(deployment, pods, self.now(), suffixes(SystemRandom()))
        for planned_action in planned.actions:
            logger.debug("{}: {}", key, planned_action)
        action.apply(self.store, [self._admitted(planned_action) for planned_action in planned.actions])
        return planned.again_after_s

    def _admitted(self, planned: Action) -> Action:
        return replace(planned, new=self.admit(planned.new, None)) if isinstance(planned, Create) else planned

    def _concerned(self, pod: Pod) -> Iterable[Key]:
        """Its owner; for an orphan, every Deployment that might adopt it."""
        controller = controller_of(pod)
        if controller is not None:
            return [Key("Deployment", pod.metadata.namespace, controller.name)] if controller.kind == "Deployment" else []
        near = self.store.list("Deployment", pod.metadata.namespace)[0]
        return [d.key for d in near if isinstance(d, Deployment) and d.spec.selector.matches(pod.metadata.labels)]
