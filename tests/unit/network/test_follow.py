"""What of the node around it our network follows."""

from __future__ import annotations

from ipaddress import ip_network

from agent.kernel.link import Link
from agent.network.follow import LinkFollower, Surroundings, surroundings
from agent.network.node import Foreign
from agent.network.uplink import LinkFact, NodeFacts, Ours, RouteFact

OURS = Ours(bridge="pw0")


def node(*links: LinkFact, way_out: str = "eth0") -> NodeFacts:
    routes = (RouteFact(ip_network("0.0.0.0/0"), way_out),) if way_out else ()
    return NodeFacts(links, routes, ())


ETH0 = LinkFact("eth0", 2, 9000)
BRIDGES = (LinkFact("pw0", 3, 1500, "bridge"), LinkFact("docker0", 4, 1500, "bridge", is_up=False), LinkFact("virbr0", 5, 1500, "bridge"))


def test_the_uplinks_mtu_and_other_tools_bridges() -> None:
    found = surroundings(node(ETH0, *BRIDGES, LinkFact("veth1", 6, 1500, "veth")), (4,), OURS)
    assert found == Surroundings(9000, Foreign(frozenset({"docker0", "virbr0"})))


def test_a_bridge_that_is_the_uplink_is_a_case_of_its_own() -> None:
    found = surroundings(node(ETH0, *BRIDGES, LinkFact("br0", 7, 1400, "bridge"), way_out="br0"), (4,), OURS)
    assert found == Surroundings(1400, Foreign(frozenset({"docker0", "virbr0"}), frozenset({"br0"})))


def test_without_a_way_out_there_is_no_mtu_to_follow() -> None:
    assert surroundings(node(ETH0, way_out=""), (4, 6), OURS).mtu is None


def test_our_own_links_are_no_news() -> None:
    follower = LinkFollower((4,), OURS)
    rung: list[str] = []
    follower._errand.ring = lambda: rung.append("ring")  # type: ignore[method-assign]
    for name, kind in (("pw0", "bridge"), ("pwv0123456789ab", "veth"), ("pwi0123456789ab", "ifb")):
        follower.changed(link(name, kind))
    assert rung == []
    for name, kind in (("eth0", ""), ("docker0", "bridge"), ("pwv-of-a-user", "dummy")):
        follower.changed(link(name, kind))
    assert len(rung) == 3


def link(name: str, kind: str) -> Link:
    return Link(index=9, name=name, kind=kind, mac="", mtu=1500, master=0, is_up=True, alias="", peer_index=0)
