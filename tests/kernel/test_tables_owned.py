"""Where nftables know owners (Linux 6.9), nobody but the agent's own socket changes our tables while it lives."""

from __future__ import annotations

import pytest

from tests import rulesets
from tests.fresh import shell
from tests.places import NODE_ADDRESS, Pod, make_pods, manifest
from tests.prober import NODE, Servers, ask
from tests.running import RunningAgent

pytestmark = [pytest.mark.kernel, pytest.mark.needs("nft")]


@pytest.fixture(scope="module")
def pod(agent: RunningAgent) -> Pod:
    (made,) = make_pods(agent, manifest("a"))
    if "flags owner" not in shell("nft list table inet podwright"):
        pytest.skip("needs a kernel whose nftables tables can have an owner and outlive it (6.9)")
    return made


@pytest.mark.parametrize(
    "attempt",
    [
        "delete table inet podwright",
        "flush chain inet podwright early-prerouting",
        "add rule inet podwright policy-forward accept",
        "add element inet podwright pods4 { 10.73.9.9 }",
    ],
)
@pytest.mark.usefixtures("pod")
def test_others_are_refused(attempt: str) -> None:
    before = rulesets.ours()
    assert "Operation not permitted" in shell(f"nft '{attempt}'", check=False)
    assert rulesets.ours() == before


def test_flushing_everything_leaves_ours_alone(pod: Pod) -> None:
    before = rulesets.ours()
    shell("nft add table inet others && nft flush ruleset")
    assert "others" not in shell("nft list tables")
    assert rulesets.ours() == before
    with Servers() as servers:
        servers.listen(NODE, "node", 7005)
        assert ask(pod.place, "tcp", NODE_ADDRESS[4], 7005) is not None


@pytest.mark.usefixtures("pod")
def test_what_was_changed_while_no_agent_ran_is_replaced_by_the_next_one(agent: RunningAgent) -> None:
    """Tables whose owner died stay, but have none."""
    before = rulesets.ours()
    agent.kill()
    shell("nft flush chain inet podwright early-prerouting && nft add element inet podwright pods4 '{ 10.73.9.9 }'")
    assert "10.73.9.9" in shell("nft list set inet podwright pods4")
    agent.start()
    assert rulesets.ours() == before
    agent.kill()
    shell("nft flush ruleset")
    agent.start()
    assert rulesets.ours() == before
