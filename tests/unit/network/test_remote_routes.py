"""Node objects in, routes out."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from agent.kernel.route import RTPROT_PODWRIGHT, Address, Route
from agent.network import remote_routes
from agent.network.remote_routes import Remote
from agent.objects.meta import ObjectMeta
from agent.objects.node import Node, NodeAddress, NodeAddressType, NodeSpec, NodeStatus

OWN = (ip_network("10.73.0.0/24"), ip_network("fd73::/64"))
ETH1 = 3
ADDRESSES = [
    Address(ip_address("127.0.0.1"), 8, 1, 254),
    Address(ip_address("192.0.2.11"), 24, ETH1, 0),
    Address(ip_address("2001:db8::11"), 64, ETH1, 0),
]
B4 = Remote("b", ip_network("10.73.1.0/24"), ip_address("192.0.2.12"))
B6 = Remote("b", ip_network("fd73:1::/64"), ip_address("2001:db8::12"))


def node(name: str, *cidrs: str, addresses: tuple[str, ...] = ("192.0.2.12", "2001:db8::12")) -> Node:
    found = (NodeAddress(NodeAddressType.HOSTNAME, name), *(NodeAddress(NodeAddressType.INTERNAL_IP, each) for each in addresses))
    return Node(
        metadata=ObjectMeta(name=name), spec=NodeSpec(pod_cidrs=tuple(map(ip_network, cidrs))), status=NodeStatus(addresses=tuple(found))
    )


def way(cidr: str, gateway: str | None, *, index: int = ETH1, protocol: int = RTPROT_PODWRIGHT) -> Route:
    return Route(ip_network(cidr), index, ip_address(gateway) if gateway else None, 0, 254, protocol, 1)


def test_each_range_by_the_address_of_its_family() -> None:
    assert remote_routes.remotes([node("b", "10.73.1.0/24", "fd73:1::/64")], "a", OWN) == (B4, B6)


def test_not_to_ourselves_and_not_without_an_address() -> None:
    assert remote_routes.remotes([node("a", "10.73.0.0/24"), node("b", "fd73:1::/64", addresses=("192.0.2.12",))], "a", OWN) == ()


def test_a_range_that_overlaps_ours_is_refused() -> None:
    nodes = [node("b", "10.73.0.128/25")]
    assert remote_routes.remotes(nodes, "a", OWN) == ()
    assert remote_routes.refused(nodes, "a", OWN) == (
        "no route to 10.73.0.128/25 of node b via 192.0.2.12: it overlaps this node's pod CIDRs",
    )


def test_routes_are_added() -> None:
    assert str(remote_routes.plan([B4, B6], [], ADDRESSES)).splitlines() == [
        "ip route replace 10.73.1.0/24 via 192.0.2.12 dev index 3 proto 112",
        "ip route replace fd73:1::/64 via 2001:db8::12 dev index 3 proto 112",
    ]


def test_what_an_earlier_agent_made_is_adopted() -> None:
    change = remote_routes.plan([B4], [way("10.73.1.0/24", "192.0.2.12")], ADDRESSES)
    assert not change.added
    assert not change.removed


def test_a_node_that_is_gone_takes_its_routes_along_and_pods_keep_theirs() -> None:
    routes = [way("10.73.1.0/24", "192.0.2.12"), way("10.73.0.2/32", None, index=7), way("10.0.0.0/8", "192.0.2.1", protocol=4)]
    assert str(remote_routes.plan([], routes, ADDRESSES)) == "ip route del 10.73.1.0/24 dev index 3"


def test_a_node_that_moved() -> None:
    routes = [way("10.73.1.0/24", "192.0.2.99")]
    assert str(remote_routes.plan([B4], routes, ADDRESSES)) == "ip route replace 10.73.1.0/24 via 192.0.2.12 dev index 3 proto 112"


@pytest.mark.parametrize(
    ("remote", "routes", "because"),
    [
        (Remote("b", ip_network("10.73.1.0/24"), ip_address("203.0.113.9")), [], "no link of this node is in its network"),
        (B4, [way("10.73.0.0/16", "192.0.2.1", protocol=4)], "it overlaps route 10.73.0.0/16"),
        (Remote("b", ip_network("192.0.2.0/25"), ip_address("192.0.2.12")), [], "it overlaps its own address"),
    ],
)
def test_what_would_take_packets_from_others_is_refused(remote: Remote, routes: list[Route], because: str) -> None:
    change = remote_routes.plan([remote], routes, ADDRESSES)
    assert change.refused == (f"no route to {remote}: {because}",)
    assert not change.added


def test_of_two_nodes_with_one_range_the_first_by_name_has_it() -> None:
    nodes = [node("c", "10.73.1.0/24", addresses=("192.0.2.13",)), node("b", "10.73.1.0/24", addresses=("192.0.2.12",))]
    change = remote_routes.plan(remote_routes.remotes(nodes, "a", OWN), [], ADDRESSES)
    assert str(change) == "ip route replace 10.73.1.0/24 via 192.0.2.12 dev index 3 proto 112"
    assert change.refused == ("no route to 10.73.1.0/24 of node c via 192.0.2.13: another node has it",)
