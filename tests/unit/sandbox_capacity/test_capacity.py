"""What a pod asks for, and what a node answers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.objects.container import Container, ResourceRequirements
from agent.objects.meta import ObjectMeta
from agent.objects.pod import Pod, PodSpec
from agent.objects.pod_status import PodPhase
from agent.objects.quantity import Quantity
from agent.sandbox import capacity
from agent.sandbox.capacity import Ledger, Resources

MIB = 1 << 20
NODE = Resources(2000, 1024 * MIB, 3)


def quantities(**texts: str) -> dict[str, Quantity]:
    return {name: Quantity.parse(text) for name, text in texts.items()}


def container(cpu: str = "", memory: str = "", limits: dict[str, str] | None = None, **fields: Any) -> Container:
    asked = {name: text for name, text in (("cpu", cpu), ("memory", memory)) if text}
    return Container(name="c", resources=ResourceRequirements(requests=quantities(**asked), limits=quantities(**(limits or {}))), **fields)


def sidecar(cpu: str) -> Container:
    return container(cpu, restart_policy="Always")


def pod(*containers: Container, uid: str = "u", **spec: Any) -> Pod:
    return Pod(metadata=ObjectMeta(name=uid, namespace="default", uid=uid), spec=PodSpec(containers=containers, **spec))


@pytest.mark.parametrize(
    ("of", "cpu_milli", "memory_mib"),
    [
        (pod(container()), 0, 0),
        (pod(container("100m", "64Mi"), container("1.5", "1Gi")), 1600, 1088),
        (pod(container(limits={"cpu": "1", "memory": "1Mi"})), 1000, 1),
        (pod(container("500m", limits={"cpu": "1"})), 500, 0),
        (pod(container("0", limits={"cpu": "1"})), 0, 0),
        # an init container runs alone, so only the largest counts, and only if it is more than the containers together
        (pod(container("1"), init_containers=(container("500m"), container("2"))), 2000, 0),
        (pod(container("1"), container("1"), init_containers=(container("1500m"),)), 2000, 0),
        # a sidecar keeps running: beside the containers, and beside the init containers after it
        (pod(container("1"), init_containers=(sidecar("500m"),)), 1500, 0),
        (pod(container("1"), init_containers=(sidecar("500m"), container("2"))), 2500, 0),
        (pod(container("1"), init_containers=(container("2"), sidecar("500m"))), 2000, 0),
        (pod(container("1", "1Mi"), init_containers=(container("500m", "5Mi"),)), 1000, 5),
        (pod(container("1"), overhead=quantities(cpu="250m", memory="120Mi")), 1250, 120),
        (pod(container("1", "1Mi"), resources=ResourceRequirements(requests=quantities(cpu="3"))), 3000, 1),
        (pod(container("1n")), 1, 0),
    ],
)
def test_requests(of: Pod, cpu_milli: int, memory_mib: int) -> None:
    assert capacity.requests(of) == Resources(cpu_milli, memory_mib * MIB, 1)


@pytest.mark.parametrize(
    ("used", "asks", "reasons"),
    [
        (Resources(), container("2", "1Gi"), ()),
        (Resources(500), container("3"), ("insufficient cpu: requests 3, free 1.5 of 2",)),
        (Resources(500), container("1500m"), ()),
        (Resources(0, 1000 * MIB), container("", "25Mi"), ("insufficient memory: requests 25Mi, free 24Mi of 1Gi",)),
        (
            Resources(2000, 1024 * MIB, 3),
            container("1", "1Mi"),
            (
                "too many pods: 3 of 3 are here",
                "insufficient cpu: requests 1, free 0 of 2",
                "insufficient memory: requests 1Mi, free 0 of 1Gi",
            ),
        ),
        (Resources(3000, 0, 1), container(), ()),  # overcommitted at a restart; a pod that asks for nothing still fits
        (Resources(3000, 0, 1), container("1m"), ("insufficient cpu: requests 0.001, free 0 of 2",)),
    ],
)
def test_fits(used: Resources, asks: Container, reasons: tuple[str, ...]) -> None:
    assert capacity.fits(NODE, used, pod(asks)) == reasons


def test_a_node_keeps_some_memory_for_itself() -> None:
    whole = capacity.capacity(cpus=2, memory_bytes=4096 * MIB)
    free = capacity.allocatable(whole)
    assert {name: str(amount) for name, amount in whole.quantities().items()} == {"cpu": "2", "memory": "4Gi", "pods": "1k"}
    assert {name: str(amount) for name, amount in free.quantities().items()} == {"cpu": "2", "memory": "3840Mi", "pods": "1k"}
    assert capacity.allocatable(capacity.capacity(1, 100 * MIB)).memory_bytes == 0


def test_the_ledger_admits_until_it_is_full_and_again_when_one_leaves() -> None:
    ledger = Ledger(NODE)
    assert [ledger.admit(pod(container("900m"), uid=uid)) for uid in ("a", "b")] == [(), ()]
    assert ledger.admit(pod(container("900m"), uid="c")) == ("insufficient cpu: requests 0.9, free 0.2 of 2",)
    assert "c" not in ledger
    ledger.release("a")
    assert ledger.admit(pod(container("900m"), uid="c")) == ()
    assert ledger.used == Resources(1800, 0, 2)


def test_admitting_and_releasing_twice_changes_nothing() -> None:
    ledger = Ledger(NODE)
    big = pod(container("2"))
    assert ledger.admit(big) == ledger.admit(big) == ()
    assert ledger.used == Resources(2000, 0, 1)
    ledger.release("u")
    ledger.release("u")
    assert ledger.used == Resources()


def test_what_runs_at_a_restart_is_counted_even_if_it_would_not_fit_today() -> None:
    ledger = Ledger(NODE, [pod(container("2"), uid="a"), pod(container("2"), uid="b")])
    assert ledger.used.cpu_milli == 4000
    assert ledger.admit(pod(container("2"), uid="b")) == ()
    assert ledger.admit(pod(container("1"), uid="c")) == ("insufficient cpu: requests 1, free 0 of 2",)


def test_a_finished_pod_holds_nothing() -> None:
    done = pod(container("2"))
    ledger = Ledger(NODE, [done])
    ledger.hold(replace(done, status=replace(done.status, phase=PodPhase.SUCCEEDED)))
    assert ledger.used == Resources()


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 1500), st.booleans()), max_size=60))
def test_the_running_sum_is_the_sum_of_what_is_held(steps: list[tuple[str, int, bool]]) -> None:
    ledger, held = Ledger(NODE), dict[str, Pod]()
    for uid, cpu_milli, comes in steps:
        candidate = pod(container(f"{cpu_milli}m"), uid=uid)
        if not comes:
            ledger.release(uid)
            held.pop(uid, None)
        elif not ledger.admit(candidate):
            held[uid] = candidate
        assert ledger.used.pods == len(held) <= NODE.pods
        assert ledger.used.cpu_milli == sum(capacity.requests(p).cpu_milli for p in held.values())
