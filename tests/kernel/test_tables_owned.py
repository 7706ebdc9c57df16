"""Where nftables know owners (Linux 6.9), nobody but the agent's own socket changes our tables."""

from __future__ import annotations

import pytest

from tests import rulesets
from tests.fresh import shell
from tests.places import Pod, make_pods, manifest
from tests.prober import NODE, Servers, ask
from tests.running import RunningAgent

pytestmark = [pytest.mark.kernel, pytest.mark.needs("nft")]

ATTEMPTS = (
    "delete table inet podwright",
    "flush chain inet podwright from-pods",
    "add rule inet podwright policy-forward accept",
    "add element inet podwright pods4 { 10.73.9.9 }",
)


@pytest.fixture(scope="module")
def pod(agent: RunningAgent) -> Pod:
    if not any('"flags": "owner"' in line or "owner" in line for line in rulesets.ours()[:1]) and "owner" not in shell("nft list tables; nft list table inet podwright | head -3"):
        pytest.skip("needs a kernel whose nftables tables can have an owner that they outlive (6.9)")
    (made,) = make_pods(agent, manifest("a"))
    return made


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_others_are_refused(pod: Pod, attempt: str) -> None:
    before = rulesets.ours()
    assert "Operation not permitted" in shell(f"nft '{attempt}'", check=False)
    assert rulesets.ours() == before


def test_flushing_everything_leaves_ours_alone(pod: Pod) -> None:
    before = rulesets.ours()
    shell("nft add table inet others")
    shell("nft flush ruleset")
    assert "others" not in shell("nft list tables")
    assert rulesets.ours() == before
    with Servers() as servers:
        servers.listen(NODE, "node", 7005)
        assert ask(pod.place, "tcp", "192.0.2.11", 7005) is not None


def test_they_stay_when_the_agent_is_gone_and_the_next_one_takes_them_over(agent: RunningAgent, pod: Pod) -> None:
    before = rulesets.ours()
    agent.kill()
    shell("nft flush ruleset")
    assert [line.replace('"owner"', "") for line in rulesets.ours()[1:]] == before[1:]
    agent.start()
    make_pods(agent, manifest("a"), manifest("b"))
    agent.cli("delete", "pod", "b")
    assert rulesets.ours() == before
