"""SIGKILL at the points of every operation: nothing is lost, nothing is left, nobody else notices."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.chaos import killing, stage
from tests.chaos.container import Container
from tests.chaos.nursery import Nursery
from tests.chaos.opened import Listener, listener
from tests.chaos.scenarios import CniAdd, CniDel, PodCreated, PodDeleted, Scenario
from tests.chaos.stage import Stage
from tests.chaos.traffic import Traffic
from tests.runtime.network_namespace import NetworkNamespace

pytestmark = pytest.mark.kernel

World = tuple[Stage, Traffic, Listener]


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    with NetworkNamespace.made(tmp_path_factory.mktemp("container") / "netns") as made:
        yield Container(made)


@pytest.fixture(scope="module")
def world(nursery: Nursery, sampled_mode: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with stage.with_bystanders(nursery, tmp_path_factory.mktemp(sampled_mode), sampled_mode) as (killed, traffic):
        pods = {name: killed.pod(name) or {} for name in stage.BYSTANDERS}
        places = {name: killed.place(pod) for name, pod in pods.items()}
        with listener(killed.agent.run_dir / "ns", places, {name: stage.addresses(pod) for name, pod in pods.items()}) as ear:
            yield killed, traffic, ear


SCENARIOS: list[Callable[[Container], Scenario]] = [lambda _: PodCreated(), lambda _: PodDeleted(), CniAdd, CniDel]


@pytest.mark.parametrize("make", SCENARIOS, ids=["pod-created", "pod-deleted", "cni-add", "cni-del"])
def test_killed_in_mid_operation(make: Callable[[Container], Scenario], world: World, container: Container, is_long: bool) -> None:
    killed, traffic, ear = world
    scenario = make(container)
    killed.agent.stop()
    total = killing.count_points(killed, scenario)
    assert traffic.lost() == []
    numbers = killing.spread(total, None if is_long else killing.SAMPLE)
    findings = killing.kill_at_each(killed, scenario, traffic, numbers, lambda: ear.impostors([container.netns.path]))
    findings.judge()
    assert traffic.asked > 100 * findings.kills
