"""pyroute2 as the judge of our own netlink: what we wrote, read by it; what it wrote, read by us."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address
from socket import AF_INET

import pytest
from pyroute2 import IPRoute

from agent.kernel import link, neigh, route
from agent.kernel.netlink import NETLINK_ROUTE, NetlinkSocket

pytestmark = pytest.mark.kernel

BRIDGE = "judged0"
MAC = "0a:58:0a:63:00:01"


@pytest.fixture
def ours() -> Iterator[NetlinkSocket]:
    with NetlinkSocket(NETLINK_ROUTE) as socket:
        yield socket
        socket.transact([link.remove_by_name(BRIDGE)])


@pytest.fixture
def judge() -> Iterator[IPRoute]:
    with IPRoute() as found:
        yield found


@pytest.fixture
def bridge(ours: NetlinkSocket) -> int:
    ours.transact([link.create_bridge(BRIDGE, mac=MAC, mtu=1400)])
    found = link.find(ours, BRIDGE)
    assert found is not None
    ours.transact([link.configure(found.index, alias="a bridge under test", ipv4={"send_redirects": 0}), link.set_up(found.index)])
    return found.index


def test_the_bridge_we_made(ours, judge, bridge):
    (seen,) = judge.get_links(bridge)
    info = seen.get_attr("IFLA_LINKINFO")
    assert (seen.get_attr("IFLA_IFNAME"), seen.get_attr("IFLA_MTU"), seen.get_attr("IFLA_ADDRESS")) == (BRIDGE, 1400, MAC)
    assert info.get_attr("IFLA_INFO_KIND") == "bridge"
    assert info.get_attr("IFLA_INFO_DATA").get_attr("IFLA_BR_MCAST_SNOOPING") == 0


def test_every_link_alike(ours, judge, bridge):
    def by_judge(seen):
        attributes = tuple(seen.get_attr(name) for name in ("IFLA_IFNAME", "IFLA_MTU", "IFLA_ADDRESS"))
        return (seen["index"], *attributes, bool(seen["flags"] & 1))

    ours_found = {(x.index, x.name, x.mtu, x.mac, x.is_up) for x in link.list_(ours)}
    assert ours_found == {by_judge(seen) for seen in judge.get_links()}


def test_addresses_both_ways(ours, judge, bridge):
    ours.transact([route.add_address(bridge, ip_address(a), 24 if "." in a else 64) for a in ("10.99.0.1", "fd99::1")])
    judge.addr("add", index=bridge, address="10.99.1.1", prefixlen=25)
    seen = {(a.get_attr("IFA_ADDRESS"), a["prefixlen"]) for a in judge.get_addr(index=bridge)}
    found = {(str(a.address), a.prefix_length) for a in route.list_addresses(ours) if a.index == bridge}
    assert found == seen
    assert {("10.99.0.1", 24), ("fd99::1", 64), ("10.99.1.1", 25)} <= found


def test_routes_both_ways(ours, judge, bridge):
    gateway = ip_address("10.99.0.2")
    ours.transact(
        [
            route.add_address(bridge, ip_address("10.99.0.1"), 24),
            route.add_route(IPv4Network("10.98.0.0/16"), bridge, gateway=gateway, metric=77),
            route.add_route(IPv6Network("fd98::/64"), bridge),
            route.add_unreachable(IPv4Network("10.97.0.0/16"), metric=4_000_000_000),
        ]
    )
    judge.route("add", dst="10.96.0.0/16", oif=bridge)
    (seen,) = (r for r in judge.get_routes(family=AF_INET) if r.get_attr("RTA_DST") == "10.98.0.0")
    assert (seen.get_attr("RTA_GATEWAY"), seen.get_attr("RTA_PRIORITY"), seen["proto"]) == ("10.99.0.2", 77, route.RTPROT_PODWRIGHT)
    found = {str(r.destination): r for r in route.list_routes(ours)}
    assert found["10.98.0.0/16"].gateway == gateway
    assert found["10.96.0.0/16"].index == bridge
    assert {"fd98::/64", "10.97.0.0/16"} <= found.keys()
    ours.transact([route.remove_route(found[name]) for name in ("10.97.0.0/16", "fd98::/64", "10.98.0.0/16")])
    left = {str(r.destination) for r in route.list_routes(ours)}
    assert not {"10.98.0.0/16", "fd98::/64", "10.97.0.0/16"} & left


def test_a_permanent_neighbour(ours, judge, bridge):
    address = ip_address("10.99.0.9")
    ours.transact([neigh.add_neighbour(bridge, address, "0a:58:0a:63:00:09")])
    (seen,) = judge.get_neighbours(ifindex=bridge, dst=str(address))
    assert (seen.get_attr("NDA_LLADDR"), seen["state"]) == ("0a:58:0a:63:00:09", 0x80)
    ours.transact([neigh.remove_neighbour(bridge, address), neigh.remove_neighbour(bridge, address)])
    assert not list(judge.get_neighbours(ifindex=bridge, dst=str(address)))
