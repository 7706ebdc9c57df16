"""A store without disk or threads that follows the real one's rules, and short ways to say what is in it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from msgspec.structs import replace

from agent.controllers import deployment_plan
from agent.controllers.deployment_plan import Plan
from agent.controllers.replica import suffixes
from agent.objects.container import Container
from agent.objects.deployment import Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdate, StrategyType
from agent.objects.meta import Condition, Key, Object, ObjectMeta
from agent.objects.pod import SANDBOXED_CONDITION, Pod, PodSpec, PodTemplateSpec
from agent.objects.selector import LabelSelector
from agent.store import change
from agent.store.base import Event, ObjectT
from agent.store.change import Change, Stamp, timestamp

START = datetime(2026, 1, 1, tzinfo=UTC)
LABELS = {"app": "web"}


class MemoryStore:
    """The part of store.base.Store that controllers write through; every event is kept in `events`."""

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}
        self.events: list[Event] = []
        self.time = START
        self._versions = itertools.count(1)
        self._uids = itertools.count(1)

    def find(self, key: Key) -> Object | None:
        return self.objects.get(key)

    def get(self, key: Key) -> Object:
        return self.objects[key]

    def list(self, kind: str, namespace: str | None = None) -> tuple[Sequence[Object], int]:
        found = [o for key, o in sorted(self.objects.items()) if key.kind == kind and namespace in (None, key.namespace)]
        return found, len(self.events)

    def create(self, new: ObjectT) -> ObjectT:
        return self.create_soon(new).result()

    def update(self, changed: ObjectT) -> ObjectT:
        return self.update_soon(changed).result()

    def delete(self, key: Key, *, uid: str = "", grace_period_s: int | None = None) -> Object | None:
        return self.delete_soon(key, uid=uid, grace_period_s=grace_period_s).result()

    def create_soon(self, new: ObjectT) -> Future[ObjectT]:
        return self._do(new.key, lambda current, stamp: change.created(new, current, stamp))

    def update_soon(self, changed: ObjectT) -> Future[ObjectT]:
        return self._do(changed.key, lambda current, stamp: change.updated(changed, current, stamp))

    def delete_soon(self, key: Key, *, uid: str = "", grace_period_s: int | None = None) -> Future[Object | None]:
        return self._do(key, lambda current, stamp: change.deleted(key, current, stamp, uid=uid, grace_period_s=grace_period_s))

    def watch(self, kinds: Sequence[str], since: int | None = None) -> Any:
        raise NotImplementedError("tests that need a watch use the real store")

    def close(self) -> None:
        pass

    def _do(self, key: Key, planned: Callable[[Object | None, Stamp], Change]) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            done = planned(self.objects.get(key), Stamp(next(self._versions), self.time, f"uid-{next(self._uids)}"))
        except Exception as error:  # noqa: BLE001 - it belongs to the future
            future.set_exception(error)
            return future
        if done.event is not None:
            self.events.append(done.event)
            if done.new is None:
                del self.objects[key]
            else:
                self.objects[key] = done.new
        future.set_result(done.result)
        return future


def template(image: str = "v1") -> PodTemplateSpec:
    return PodTemplateSpec(metadata=ObjectMeta(labels=dict(LABELS)), spec=PodSpec(containers=(Container(name="c", image=image),)))


def deployment(
    replicas: int = 3, *, surge: int | str = "25%", unavailable: int | str = "25%", recreate: bool = False, **spec: Any
) -> Deployment:
    rolling = DeploymentStrategy(rolling_update=RollingUpdate(max_surge=surge, max_unavailable=unavailable))
    return Deployment(
        metadata=ObjectMeta(name="web", namespace="default", uid="uid-web", generation=1),
        spec=DeploymentSpec(
            selector=LabelSelector(match_labels=dict(LABELS)),
            template=spec.pop("template", template()),
            replicas=replicas,
            strategy=DeploymentStrategy(type=StrategyType.RECREATE) if recreate else rolling,
            **spec,
        ),
    )


def plan(wanted: Deployment, pods: Sequence[Pod] = (), now: datetime = START) -> Plan:
    return deployment_plan.plan(wanted, pods, now, suffixes(Random(1)))


def verbs(planned: Plan) -> list[str]:
    """The plan without its status updates, random endings cut: "create pod web-x"."""
    return [str(a) for a in planned.actions if not str(a).startswith("update status")]


def pods_of(store: MemoryStore) -> list[Pod]:
    return [pod for pod in store.list("Pod")[0] if isinstance(pod, Pod)]


def ready(pod: Pod, *, since: datetime = START, is_ready: bool = True) -> Pod:
    condition = Condition(type=SANDBOXED_CONDITION, status="True" if is_ready else "False", last_transition_time=timestamp(since))
    return replace(pod, status=replace(pod.status, conditions=(condition,)))


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)
