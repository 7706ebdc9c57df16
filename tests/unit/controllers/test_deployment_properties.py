"""Any events in any order: the promises hold after every step, and when the world calms down it is as asked for."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.controllers import action, deployment_plan, rollout
from agent.controllers.garbage import GarbageCollector
from agent.controllers.replica import controller_of, replica, suffixes
from agent.controllers.rollout import Limits
from agent.objects.deployment import Deployment, DeploymentStrategy, RollingUpdate, StrategyType, template_hash
from agent.objects.meta import Key
from agent.objects.pod import Pod
from tests.unit.controllers.worlds import MemoryStore, deployment, pods_of, ready, template

KEY = Key("Deployment", "default", "web")
SANDBOX = "podwright.io/sandbox"


class World:
    """Users change the Deployment, pods become ready, fail, vanish and take their time to end; the controller
    looks now and then, each time as a fresh process would: it keeps nothing between two looks."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.random = Random(0)

    @property
    def wanted(self) -> Deployment:
        """The Deployment; one is made if there is none."""
        found = self.store.find(KEY) or self.store.create(deployment(3))
        assert isinstance(found, Deployment)
        return found

    @property
    def running(self) -> list[Pod]:
        """Ours, not ending."""
        uid = self.wanted.metadata.uid
        return [p for p in pods_of(self.store) if (owner := controller_of(p)) and owner.uid == uid and not p.is_being_deleted]

    def available(self) -> int:
        return sum(replica(p, "", self.wanted.spec.min_ready_seconds, self.store.time).is_available for p in self.running)

    def change(self, spec: dict[str, Any]) -> None:
        self.store.update(replace(self.wanted, spec=replace(self.wanted.spec, **spec)))

    def readiness(self, chosen: int, is_ready: bool) -> None:
        for pod in self.pick(chosen):
            self.store.update(ready(pod, since=self.store.time, is_ready=is_ready))

    def pods_are_deleted_by_hand(self, chosen: int) -> None:
        for pod in self.pick(chosen):
            self.store.delete(pod.key)

    def sandboxes_end(self, chosen: int) -> None:
        for pod in self.pick(chosen):
            if pod.is_being_deleted:
                self.store.update(replace(pod, metadata=replace(pod.metadata, finalizers=())))

    def all_goes_well_for_a_while(self, chosen: int, looks: int) -> None:
        for _ in range(looks):
            self.reconcile()
            self.readiness(chosen, is_ready=True)
            self.sandboxes_end(chosen)
        self.reconcile()

    def time_passes(self, seconds: int) -> None:
        self.store.time += timedelta(seconds=seconds)

    def delete(self) -> None:
        self.store.delete(KEY)

    def collect_garbage(self) -> None:
        GarbageCollector(self.store, "node").reconcile(KEY)

    def reconcile(self) -> None:
        wanted = self.wanted
        bounds = rollout.limits(wanted.spec)
        before, available_before = {p.key for p in self.running}, self.available()
        old_before = [p for p in pods_of(self.store) if self.is_old(wanted, p)]
        self.look()
        created = {p.key for p in self.running} - before
        if wanted.spec.paused:
            assert len(self.running) == bounds.replicas
        elif wanted.spec.strategy.type is StrategyType.RECREATE:
            assert not (created and old_before), "new beside old"
        else:
            self.check_rolling_promises(bounds, available_before)

    def check_rolling_promises(self, bounds: Limits, available_before: int) -> None:
        assert len(self.running) <= bounds.most
        assert self.available() >= min(available_before, bounds.least)

    def look(self) -> None:
        """One look of the controller."""
        planned = deployment_plan.plan(self.wanted, pods_of(self.store), self.store.time, suffixes(self.random))
        action.apply(self.store, [self.with_sandbox(a) for a in planned.actions])

    @staticmethod
    def with_sandbox(planned: action.Action) -> action.Action:
        if isinstance(planned, action.Create):
            return action.Create(replace(planned.new, metadata=replace(planned.new.metadata, finalizers=(SANDBOX,))))
        return planned

    def pick(self, chosen: int) -> list[Pod]:
        pods = pods_of(self.store)
        return [pod for n, pod in enumerate(pods) if chosen >> n & 1]

    def is_ready(self, pod: Pod) -> bool:
        return replica(pod, "", 0, self.store.time).is_ready

    @staticmethod
    def is_old(wanted: Deployment, pod: Pod) -> bool:
        owner = controller_of(pod)
        ours = owner is not None and owner.uid == wanted.metadata.uid
        return ours and pod.metadata.labels["pod-template-hash"] != template_hash(wanted.spec.template)

    def calm_down(self) -> None:
        """The world calms down: everything becomes ready, everything that ends has ended."""
        for _ in range(60):
            heard = len(self.store.events)
            self.store.time += timedelta(seconds=10)
            GarbageCollector(self.store, "node").reconcile(KEY)
            if self.store.find(KEY) is not None:
                self.look()
            for pod in pods_of(self.store):
                if pod.is_being_deleted:
                    self.store.update(replace(pod, metadata=replace(pod.metadata, finalizers=())))
                elif not self.is_ready(pod):
                    self.store.update(ready(pod, since=self.store.time))
            if len(self.store.events) == heard:
                break
        else:
            raise AssertionError("it never came to rest")
        self.check_rest()

    def check_rest(self) -> None:
        pods = pods_of(self.store)
        if self.store.find(KEY) is None:
            assert pods == []
            return
        wanted = self.wanted
        assert len(pods) == len(self.running) == wanted.spec.replicas
        status = wanted.status
        assert (status.replicas, status.ready_replicas, status.observed_generation) == (len(pods), len(pods), wanted.metadata.generation)
        if not wanted.spec.paused:
            assert {p.metadata.labels["pod-template-hash"] for p in pods} <= {template_hash(wanted.spec.template)}
            assert status.updated_replicas == status.available_replicas == wanted.spec.replicas
            assert status.unavailable_replicas == 0
            assert {c.type: c.status for c in status.conditions} == {"Available": "True", "Progressing": "True"}


CHOICE = st.integers(0, 2**12 - 1)
"""Which pods, as bits."""
ROLLING = st.builds(
    lambda surge, unavailable: DeploymentStrategy(rolling_update=RollingUpdate(max_surge=surge, max_unavailable=unavailable)),
    st.sampled_from([0, 1, 2, "25%", "100%"]),
    st.sampled_from([0, 1, 3, "25%", "100%"]),
)
TEMPLATE = st.fixed_dictionaries({"template": st.sampled_from([template("v1"), template("v2"), template("v3")])})
SPEC = st.one_of(
    st.fixed_dictionaries({"replicas": st.integers(0, 7)}),
    st.fixed_dictionaries({"strategy": st.one_of(ROLLING, ROLLING, st.just(DeploymentStrategy(type=StrategyType.RECREATE)))}),
    st.fixed_dictionaries({"paused": st.sampled_from([False, False, False, True]), "min_ready_seconds": st.sampled_from([0, 0, 5])}),
)
EVENTS = st.one_of(
    st.builds(partial, st.just(World.reconcile)),
    st.builds(partial, st.just(World.all_goes_well_for_a_while), chosen=CHOICE, looks=st.just(1)),
    st.builds(partial, st.just(World.change), spec=SPEC),
    st.builds(partial, st.just(World.change), spec=TEMPLATE),
    st.builds(partial, st.just(World.all_goes_well_for_a_while), chosen=CHOICE, looks=st.integers(1, 3)),
    st.builds(partial, st.just(World.readiness), chosen=CHOICE, is_ready=st.booleans()),
    st.builds(partial, st.just(World.pods_are_deleted_by_hand), chosen=CHOICE),
    st.builds(partial, st.just(World.sandboxes_end), chosen=CHOICE),
    st.builds(partial, st.just(World.time_passes), seconds=st.integers(1, 10)),
    st.builds(partial, st.sampled_from([World.delete, World.collect_garbage, World.collect_garbage])),
)


@given(st.lists(EVENTS, min_size=20, max_size=60))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_happens(events: list[partial[None]]) -> None:
    world = World()
    for happen in events:
        happen(world)
    world.calm_down()
