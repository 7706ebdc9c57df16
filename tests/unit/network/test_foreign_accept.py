"""Which rules the accept in another tool's firewall needs, from what `iptables -S` prints. Nothing is run."""

from __future__ import annotations

import pytest

from agent.config import ForeignFirewall
from agent.network.foreign import Path, legacy_obstacles, tool_of_chains
from agent.network.foreign_accept import Change, plan

DOCKER, UFW, NONE = ForeignFirewall.DOCKER, ForeignFirewall.UFW, ForeignFirewall.NONE
IN, OUT = (f"{side} pw0 -m comment --comment podwright -j ACCEPT" for side in ("-i", "-o"))
DOCKERS = ("-P INPUT ACCEPT", "-P FORWARD DROP", "-N DOCKER-USER", "-A FORWARD -j DOCKER-USER", "-A DOCKER-USER -j RETURN")


def test_dockers_own_chain_for_users() -> None:
    assert plan(DOCKERS, DOCKER, "pw0") == Change(add=(f"-I DOCKER-USER {IN}", f"-I DOCKER-USER {OUT}"))


def test_nothing_to_do_when_they_are_there() -> None:
    assert not plan((*DOCKERS, f"-A DOCKER-USER {OUT}", f"-A DOCKER-USER {IN}"), DOCKER, "pw0")


def test_one_that_is_missing() -> None:
    assert plan((*DOCKERS, f"-A DOCKER-USER {OUT}"), DOCKER, "pw0") == Change(add=(f"-I DOCKER-USER {IN}",))


def test_forward_where_docker_has_no_such_chain() -> None:
    assert plan(("-P FORWARD DROP",), DOCKER, "pw0").add == (f"-I FORWARD {IN}", f"-I FORWARD {OUT}")


def test_nothing_where_nothing_is_dropped() -> None:
    assert not plan(("-P FORWARD ACCEPT",), DOCKER, "pw0")
    assert not plan(("-P FORWARD ACCEPT",), UFW, "pw0")


def test_ufw_that_rejects_has_an_accepting_policy() -> None:
    assert plan(("-P FORWARD ACCEPT", "-N ufw-reject-forward"), UFW, "pw0").add == (f"-I FORWARD {IN}", f"-I FORWARD {OUT}")


@pytest.mark.parametrize("tool", [NONE, ForeignFirewall.FIREWALLD])
def test_a_setting_that_was_taken_back(tool: ForeignFirewall) -> None:
    assert plan((*DOCKERS, f"-A DOCKER-USER {IN}"), tool, "pw0") == Change(delete=(f"-D DOCKER-USER {IN}",))


def test_another_mode_or_bridge_changes_the_device() -> None:
    change = plan((*DOCKERS, f"-A DOCKER-USER {IN}", f"-A DOCKER-USER {OUT}"), DOCKER, "pwv+")
    assert [rule.split()[3] for rule in change.add] == ["pwv+", "pwv+"]
    assert change.delete == (f"-D DOCKER-USER {IN}", f"-D DOCKER-USER {OUT}")


def test_one_that_is_there_twice_is_removed_once() -> None:
    twice = (f"-A DOCKER-USER {IN}",) * 2
    assert plan((*DOCKERS, *twice, f"-A DOCKER-USER {OUT}"), DOCKER, "pw0") == Change(delete=(f"-D DOCKER-USER {IN}",))


@pytest.mark.parametrize("comment", ["podwrights", '"not podwright"', '"podwright is fine"'])
def test_rules_of_others_stay(comment: str) -> None:
    assert not plan((f"-A FORWARD -i pw0 -m comment --comment {comment} -j ACCEPT",), NONE, "pw0")


@pytest.mark.parametrize(
    ("chains", "tool"),
    [
        (("DOCKER", "ufw-user-forward"), DOCKER),
        (("DOCKER-USER",), DOCKER),
        (("ufw6-before-forward",), UFW),
        (("FORWARD_ZONES",), ForeignFirewall.FIREWALLD),
        (("KUBE-FORWARD", "LIBVIRT_FWI"), NONE),
    ],
)
def test_tools_are_known_by_their_chains(chains: tuple[str, ...], tool: ForeignFirewall) -> None:
    assert tool_of_chains(chains) is tool


@pytest.mark.parametrize(
    ("rules", "obstacles"),
    [
        ((), 2),
        (("-A FORWARD -i pw0 -j ACCEPT",), 1),
        (("-A FORWARD -i pw+ -j ACCEPT", "-A FORWARD -o pw0 -m comment --comment x -j ACCEPT"), 0),
        (("-A FORWARD -i pw0 -p tcp -j ACCEPT", "-A FORWARD -i eth0 -j ACCEPT", "-A FORWARD -o pw0 -j DROP"), 2),
    ],
)
def test_legacy_rules(rules: tuple[str, ...], obstacles: int) -> None:
    found = list(legacy_obstacles(("-P FORWARD DROP", *rules), Path("pw0", "eth0"), 4))
    assert len(found) == obstacles


def test_a_legacy_policy_that_accepts() -> None:
    assert list(legacy_obstacles(("-P FORWARD ACCEPT",), Path("pw0", "eth0"), 4)) == []
