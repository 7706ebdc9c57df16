"""Which way is out, seen on machines as they really are: a plain server, a vagrant guest, a laptop with docker and a VPN."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from agent.errors import InvalidObject
from agent.network import uplink
from agent.network.uplink import AddressFact, LinkFact, NodeFacts, Ours, RouteFact

LO = LinkFact("lo", 1, 65536)
ETH0 = LinkFact("eth0", 2, 1500)
ETH1 = LinkFact("eth1", 3, 9000)
DOCKER0 = LinkFact("docker0", 4, 1500, kind="bridge")
OURS = Ours(bridge="pw0")


def route(destination: str, device: str, *, metric: int = 0, gateway: str = "", table: int = 254, protocol: int = 0) -> RouteFact:
    return RouteFact(ip_network(destination), device, ip_address(gateway) if gateway else None, metric, table, protocol)


def address(text: str, device: str, *, is_global: bool = True, is_stable: bool = True) -> AddressFact:
    return AddressFact(ip_address(text), device, is_global, is_stable)


SERVER = NodeFacts(
    links=(LO, ETH0),
    routes=(route("0.0.0.0/0", "eth0", gateway="192.0.2.1"), route("::/0", "eth0", gateway="fe80::1")),
    addresses=(
        address("127.0.0.1", "lo", is_global=False),
        address("192.0.2.10", "eth0"),
        address("fe80::5", "eth0", is_global=False),
        address("2001:db8::aaaa", "eth0", is_stable=False),
        address("2001:db8::10", "eth0"),
    ),
)
VAGRANT = NodeFacts(
    links=(LO, ETH0, ETH1, DOCKER0),
    routes=(route("0.0.0.0/0", "eth0", gateway="10.0.2.2", metric=100), route("192.168.56.0/24", "eth1")),
    addresses=(address("10.0.2.15", "eth0"), address("172.17.0.1", "docker0"), address("192.168.56.10", "eth1")),
)


def test_a_plain_server() -> None:
    assert uplink.uplinks(SERVER) == (ETH0,)
    assert uplink.node_addresses(SERVER) == (ip_address("192.0.2.10"), ip_address("2001:db8::10"))


def test_a_vagrant_guest_is_not_known_by_its_nat_address() -> None:
    """eth0 leads out, but every guest is 10.0.2.15 there; docker0 is no other node's way to us."""
    assert uplink.uplink(VAGRANT, 4) == ETH0
    assert uplink.node_addresses(VAGRANT) == (ip_address("192.168.56.10"),)


def test_the_nat_address_is_better_than_none() -> None:
    alone = NodeFacts((LO, ETH0, DOCKER0), VAGRANT.routes, VAGRANT.addresses[:2])
    assert uplink.node_addresses(alone) == (ip_address("10.0.2.15"),)
    assert uplink.is_nat_address(ip_address("10.0.2.15"))


def test_the_lowest_metric_wins_and_an_unset_ipv6_metric_is_1024() -> None:
    routes = (
        route("0.0.0.0/0", "eth0", metric=600),
        route("0.0.0.0/0", "eth1", metric=100),
        route("::/0", "eth0"),
        route("::/0", "eth1", metric=1025),
    )
    facts = NodeFacts((ETH0, ETH1), routes, ())
    assert (uplink.uplink(facts, 4), uplink.uplink(facts, 6)) == (ETH1, ETH0)
    assert uplink.mtu(facts) == 1500, "a pod has one MTU: both families must fit"
    assert uplink.mtu(facts, [4]) == 9000


def test_a_default_route_that_cannot_be_used_is_no_uplink() -> None:
    down = LinkFact("eth1", 3, 9000, is_up=False)
    routes = (
        route("0.0.0.0/0", "eth1"),
        route("0.0.0.0/0", "pwv1234"),
        route("0.0.0.0/0", "eth0", table=100),
        route("0.0.0.0/0", "gone0"),
        route("0.0.0.0/0", ""),
        route("0.0.0.0/0", "eth0", protocol=99),
    )
    facts = NodeFacts((down, ETH0, LinkFact("pwv1234", 9, 1500, "veth")), routes, ())
    assert uplink.uplink(facts, 4, Ours("pw0", frozenset({99}))) is None


def test_a_node_without_a_way_out_still_has_an_address_and_an_mtu() -> None:
    facts = NodeFacts((LO, ETH0, DOCKER0), (), (address("172.17.0.1", "docker0"), address("10.1.1.1", "eth0")))
    assert uplink.uplinks(facts) == ()
    assert uplink.mtu(facts) == 1500
    assert uplink.node_addresses(facts) == (ip_address("10.1.1.1"),)


def test_our_own_addresses_are_not_the_nodes() -> None:
    pw0 = LinkFact("pw0", 7, 1500, "bridge")
    facts = NodeFacts((ETH0, pw0), (), (address("10.73.0.1", "pw0"), address("10.1.1.1", "eth0")))
    assert uplink.node_addresses(facts, [4], OURS) == (ip_address("10.1.1.1"),)


@pytest.mark.parametrize(
    ("foreign", "message"),
    [
        (route("10.73.0.0/16", "eth0"), "pod CIDR 10.73.0.0/20 overlaps route 10.73.0.0/16 dev eth0; choose another with network.podCIDRs"),
        (route("10.0.0.0/8", "tun0", gateway="10.8.0.1"), "overlaps route 10.0.0.0/8 via 10.8.0.1 dev tun0;"),
        (route("10.73.4.0/24", "docker0"), "overlaps route 10.73.4.0/24 dev docker0;"),
        (route("10.73.0.9/32", "wg0", table=51820), "overlaps route 10.73.0.9/32 dev wg0;"),
        (route("10.73.8.0/24", ""), "overlaps route 10.73.8.0/24;"),
    ],
)
def test_a_pod_cidr_that_overlaps_a_route_is_refused_with_the_way_out(foreign: RouteFact, message: str) -> None:
    with pytest.raises(InvalidObject) as raised:
        uplink.refuse_overlap([ip_network("10.73.0.0/20")], [foreign], OURS)
    assert message in raised.value.message


def test_every_overlap_is_reported_at_once() -> None:
    routes = [route("10.0.0.0/8", "eth0"), route("fd73::/16", "eth1")]
    with pytest.raises(InvalidObject) as raised:
        uplink.refuse_overlap([ip_network("10.73.0.0/20"), ip_network("fd73::/64")], routes)
    assert [p.split(";")[0] for p in raised.value.problems] == [
        "network.podCIDRs: pod CIDR 10.73.0.0/20 overlaps route 10.0.0.0/8 dev eth0",
        "network.podCIDRs: pod CIDR fd73::/64 overlaps route fd73::/16 dev eth1",
    ]


@pytest.mark.parametrize(
    "harmless",
    [
        route("0.0.0.0/0", "eth0"),
        route("::/0", "eth0"),
        route("10.73.0.0/20", "pw0"),
        route("10.73.0.7/32", "pwv0001"),
        route("10.73.0.0/20", "", protocol=99),
        route("10.73.16.0/20", "eth0"),
        route("fd73::/16", "eth0"),
    ],
)
def test_our_own_routes_default_routes_and_neighbours_do_not_count(harmless: RouteFact) -> None:
    uplink.refuse_overlap([ip_network("10.73.0.0/20")], [harmless], Ours("pw0", frozenset({99})))
    assert uplink.overlap(ip_network("10.73.0.0/20"), [harmless], Ours("pw0", frozenset({99}))) is None


def test_a_configured_address_that_no_link_has_is_refused_with_the_way_out() -> None:
    uplink.refuse_absent([ip_address("192.0.2.10"), ip_address("2001:db8::10")], SERVER)
    with pytest.raises(InvalidObject, match=r"no link of this node has 192\.0\.2\.99, or somebody else"):
        uplink.refuse_absent([ip_address("192.0.2.10"), ip_address("192.0.2.99")], SERVER)


def test_an_address_that_is_still_being_asked_about_is_the_nodes_only_where_there_is_no_other() -> None:
    tentative = AddressFact(ip_address("2001:db8::9"), "eth0", is_tentative=True)
    alone = NodeFacts(SERVER.links, SERVER.routes, (tentative,))
    both = NodeFacts(SERVER.links, SERVER.routes, (tentative, address("2001:db8::10", "eth0")))
    assert uplink.node_addresses(alone, (6,)) == (ip_address("2001:db8::9"),)
    assert uplink.node_addresses(both, (6,)) == (ip_address("2001:db8::10"),)
