"""Policy in tables that anybody may write: what another program takes away or adds comes back, and is reported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import rulesets
from tests.fresh import shell
from tests.kernel.test_policy import ALLOW_A, DENY_B, labelled
from tests.places import Pod, eventually, make_pods
from tests.prober import Servers, ask
from tests.running import RunningAgent

pytestmark = [pytest.mark.kernel, pytest.mark.needs("nft")]


@pytest.fixture(scope="module")
def agent(mode: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    running = RunningAgent(Path(tmp_path_factory.mktemp(mode)), network__mode=mode, network__own_tables="false")
    running.start()
    yield running
    running.clear()


@pytest.fixture(scope="module")
def pods(agent: RunningAgent) -> Iterator[dict[str, Pod]]:
    made = {pod.name: pod for pod in make_pods(agent, *(labelled(name, app=name) for name in "abc"))}
    agent.apply(DENY_B + "\n---\n" + ALLOW_A)
    with Servers() as servers:
        servers.listen(made["b"].place, "b", 80)
        eventually(lambda: not ask(made["c"].place, "udp", made["b"].addresses[4], 80))
        yield made


@pytest.mark.parametrize(
    "damage",
    [
        "delete element inet podwright policy-to4 {{ {b} }}",
        "flush map inet podwright policy-to6",
        "flush chain inet podwright policy-forward",
        "add element inet podwright policy-from4 {{ {c} : goto policy-deny }}",
        "delete table inet podwright",
    ],
)
def test_what_another_program_does_is_undone(agent: RunningAgent, pods: dict[str, Pod], damage: str) -> None:
    before = rulesets.ours()
    shell("nft " + "'" + damage.format(b=pods["b"].addresses[4], c=pods["c"].addresses[4]) + "'")
    eventually(lambda: rulesets.ours() == before)
    assert not ask(pods["c"].place, "udp", pods["b"].addresses[4], 80, timeout_s=0.2)
    assert ask(pods["a"].place, "udp", pods["b"].addresses[4], 80)
