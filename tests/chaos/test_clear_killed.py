"""Taking everything down is killed midway and done again: nothing may be left, whatever went first."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos import killing, stage
from tests.chaos.container import Container
from tests.chaos.killing import Findings
from tests.chaos.nursery import Nursery
from tests.chaos.stage import BYSTANDERS, Stage
from tests.runtime.network_namespace import NetworkNamespace

pytestmark = pytest.mark.kernel


@pytest.fixture
def node(nursery: Nursery, mode: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage.empty(nursery, tmp_path_factory.mktemp(mode), mode) as made:
        yield made


@pytest.fixture
def netns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NetworkNamespace]:
    with NetworkNamespace.made(tmp_path_factory.mktemp("container") / "netns") as made:
        yield made


def test_clear_is_killed(node: Stage, netns: NetworkNamespace, is_long: bool) -> None:
    populate(node, netns)
    node.points.unlink(missing_ok=True)
    node.agent.start_clearing(node.trap(0, gated=False))
    assert node.agent.wait(30) == 0, node.agent.tail()
    findings = Findings()
    for number in killing.spread(len(node.passed()), None if is_long else killing.SAMPLE):
        populate(node, netns)
        node.points.unlink(missing_ok=True)
        node.agent.start_clearing(node.trap(number, gated=False))
        findings.saw_kill(node.agent.wait(30) < 0)
        node.agent.clear()
        findings.add(
            node.point(number), "after it was cleared again", node.node.remains() + [f"{netns}: {x}" for x in netns.links() - {"lo"}]
        )
    findings.judge()


def populate(node: Stage, netns: NetworkNamespace) -> None:
    """Two pods and a container of a runtime."""
    node.agent.start()
    for name, host_port in BYSTANDERS.items():
        node.make_pod(name, host_port)
    Container(netns).add(node)
    node.agent.stop()
