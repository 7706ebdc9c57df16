"""Any events in any order: the promises hold after every step, and when the world calms down it is as asked for."""

from __future__ import annotations

from datetime import timedelta
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.controllers import action, deployment_plan, rollout
from agent.controllers.garbage import GarbageCollector
from agent.controllers.replica import controller_of, is_terminating, replica, suffixes, template_hash
from agent.controllers.rollout import Limits
from agent.objects.deployment import Deployment, DeploymentStrategy, RollingUpdate, StrategyType
from agent.objects.meta import Key
from agent.objects.pod import Pod
from tests.unit.controllers.worlds import MemoryStore, deployment, pods_of, ready, template

KEY = Key("Deployment", "default", "web")
SANDBOX = "podwright.io/sandbox"
ROLLING = st.builds(
    lambda surge, unavailable: DeploymentStrategy(rolling_update=RollingUpdate(max_surge=surge, max_unavailable=unavailable)),
    st.sampled_from([0, 1, 2, "25%", "100%"]),
    st.sampled_from([0, 1, 3, "25%", "100%"]),
)
STRATEGIES = st.one_of(ROLLING, ROLLING, st.just(DeploymentStrategy(type=StrategyType.RECREATE)))
REPLICAS = st.integers(0, 7)
CHOICE = st.integers(0, 2**12 - 1)
"""Which pods, as bits."""


class World:
    """Users change the Deployment, pods become ready, fail, vanish and take their time to end; the controller
    looks now and then, each time as a fresh process would: it keeps nothing between two looks."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.random = Random(0)
        self.image = 0

    @property
    def wanted(self) -> Deployment | None:
        found = self.store.find(KEY)
        assert found is None or isinstance(found, Deployment)
        return found

    @property
    def running(self) -> list[Pod]:
        """Ours, not ending."""
        uid = self.wanted.metadata.uid if self.wanted else ""
        return [p for p in pods_of(self.store) if (owner := controller_of(p)) and owner.uid == uid and not is_terminating(p)]

    def available(self) -> int:
        assert self.wanted is not None
        wanted_hash = template_hash(self.wanted.spec.template)
        return sum(replica(p, wanted_hash, self.wanted.spec.min_ready_seconds, self.store.time).is_available for p in self.running)

    def create(self, replicas: int, strategy: DeploymentStrategy, min_ready_seconds: int) -> None:
        new = deployment(replicas, min_ready_seconds=min_ready_seconds)
        self.store.create(replace(new, spec=replace(new.spec, strategy=strategy)))

    def scale(self, replicas: int) -> None:
        assert self.wanted is not None
        self.store.update(replace(self.wanted, spec=replace(self.wanted.spec, replicas=replicas)))

    def change_strategy(self, strategy: DeploymentStrategy, paused: bool) -> None:
        assert self.wanted is not None
        self.store.update(replace(self.wanted, spec=replace(self.wanted.spec, strategy=strategy, paused=paused)))

    def change_template(self, image: int) -> None:
        assert self.wanted is not None
        self.reconcile()
        self.store.update(replace(self.wanted, spec=replace(self.wanted.spec, template=template(f"v{image}"))))

    def readiness(self, chosen: int, is_ready: bool) -> None:
        for pod in self.pick(chosen):
            self.store.update(ready(pod, since=self.store.time, is_ready=is_ready))

    def pods_are_deleted_by_hand(self, chosen: int) -> None:
        for pod in self.pick(chosen):
            self.store.delete(pod.key)

    def sandboxes_end(self, chosen: int) -> None:
        for pod in self.pick(chosen):
            if is_terminating(pod):
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
        assert wanted is not None
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
        wanted = self.wanted
        assert wanted is not None
        planned = deployment_plan.plan(wanted, pods_of(self.store), self.store.time, suffixes(self.random))
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
            if self.wanted is not None:
                self.look()
            for pod in pods_of(self.store):
                if is_terminating(pod):
                    self.store.update(replace(pod, metadata=replace(pod.metadata, finalizers=())))
                elif not self.is_ready(pod):
                    self.store.update(ready(pod, since=self.store.time))
            if len(self.store.events) == heard:
                break
        else:
            raise AssertionError("it never came to rest")
        self.check_rest()

    def check_rest(self) -> None:
        wanted, pods = self.wanted, pods_of(self.store)
        if wanted is None:
            assert pods == []
            return
        assert len(pods) == len(self.running) == wanted.spec.replicas
        status = wanted.status
        assert (status.replicas, status.ready_replicas, status.observed_generation) == (len(pods), len(pods), wanted.metadata.generation)
        if not wanted.spec.paused:
            assert {p.metadata.labels["pod-template-hash"] for p in pods} <= {template_hash(wanted.spec.template)}
            assert status.updated_replicas == status.available_replicas == wanted.spec.replicas
            assert status.unavailable_replicas == 0
            assert {c.type: c.status for c in status.conditions} == {"Available": "True", "Progressing": "True"}


@given(st.lists(EVENTS, min_size=15, max_size=60))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.large_base_example, HealthCheck.too_slow])
def test_whatever_happens(events: list[Event]) -> None:
    world = World()
    for happen in events:
        happen(world)
    world.calm_down()
