"""What a hostile pod may put on its wire: nothing but its own packets arrives, at another pod, the node or outside.

Each forgery is followed by honest packets to all three: whoever has seen those has seen everything before them.
"""

from __future__ import annotations

import itertools
import select
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_address

import pytest

from agent.network.firewall.antispoof import link_local
from agent.objects.meta import IPAddress
from tests import frames
from tests.packets import Wire, on_one_cpu
from tests.places import NODE_ADDRESS, OUTSIDE, OUTSIDE_ADDRESS, SEGMENT, Pod, gateway_mac, make_pods, manifest, run
from tests.prober import NODE, inside
from tests.running import RunningAgent

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("bridge_netfilter")]

PORT = 7000
SIGN = b"forged"
OPTION = b"\xfd\x01" + SIGN
"""An experimental option of neighbour discovery, which receivers skip."""
FOREIGN_MAC, BROADCAST = "02:00:00:00:00:99", "ff:ff:ff:ff:ff:ff"
FOREIGN = {4: ip_address("203.0.113.9"), 6: ip_address("2001:db8:9::9")}
GATEWAY = {4: ip_address("10.73.0.1"), 6: ip_address("fd73:7077:7269::1")}
UNSPECIFIED = {4: ip_address("0.0.0.0"), 6: ip_address("::")}
ALL_NODES = {4: ip_address("224.0.0.1"), 6: ip_address("ff02::1")}
ALL_NODES_MAC = {4: "01:00:5e:00:00:01", 6: "33:33:00:00:00:01"}
VLAN, ARP = 0x8100, 0x0806
ROUTER_ADVERTISEMENT, ADVERTISEMENT, REDIRECT = 134, 136, 137

family = pytest.mark.parametrize("family", [4, 6])


class NodeEar:
    """What reaches the node's own sockets: datagrams to PORT, and every ICMPv6 message."""

    def __init__(self) -> None:
        with inside(NODE):
            self.datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            self.icmpv6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        self.datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.datagrams.bind(("::", PORT))
        self.datagrams.settimeout(2)

    def __enter__(self) -> NodeEar:
        return self

    def __exit__(self, *_: object) -> None:
        self.datagrams.close()
        self.icmpv6.close()

    def seen_until(self, fence: bytes) -> list[bytes]:
        found = list(iter(lambda: self.datagrams.recv(2048), fence))
        while select.select([self.icmpv6], [], [], 0)[0]:
            found.append(self.icmpv6.recv(2048))
        return found


@dataclass(frozen=True)
class World:
    """A hostile pod and its wire, another pod, and who watches where."""

    hostile: Pod
    other: Pod
    gateway: str
    wire: Wire
    watchers: dict[str, Wire | NodeEar]

    def targets(self, family: int) -> list[IPAddress]:
        return [self.other.address(family), ip_address(NODE_ADDRESS[family]), ip_address(OUTSIDE_ADDRESS[family])]

    def datagrams(self, source: IPAddress, source_mac: str = "", destination_mac: str = "", data: bytes = SIGN) -> list[bytes]:
        """One to each target."""
        packets = [frames.udp(source, target, PORT, data) for target in self.targets(source.version)]
        return [frames.packet(destination_mac or self.gateway, source_mac or self.hostile.mac, packet) for packet in packets]

    def arrived(self, *forged: bytes) -> set[str]:
        """Where any of these frames was seen."""
        fence = b"fence-%06d" % next(FENCES)
        self.wire.send(*forged, *self.datagrams(self.hostile.address(4), data=fence))
        return {place for place, watcher in self.watchers.items() if any(SIGN in seen for seen in watcher.seen_until(fence))}


FENCES = itertools.count()


@pytest.fixture(scope="module")
def world(agent: RunningAgent) -> Iterator[World]:
    hostile, other = make_pods(agent, manifest("hostile"), manifest("other"))
    with ExitStack() as stack:
        stack.enter_context(on_one_cpu())
        wire = stack.enter_context(Wire(hostile.place, "eth0"))
        watchers: dict[str, Wire | NodeEar] = {"pod": Wire(other.place, "eth0"), "node": NodeEar(), "outside": Wire(OUTSIDE, SEGMENT)}
        for watcher in watchers.values():
            stack.enter_context(watcher)
        yield World(hostile, other, gateway_mac(hostile), wire, watchers)


@family
def test_a_pods_own_packets_arrive(world: World, family: int) -> None:
    assert world.arrived(*world.datagrams(world.hostile.address(family))) == {"pod", "node", "outside"}


SOURCES: dict[str, Callable[[World, int], IPAddress]] = {
    "foreign": lambda world, family: FOREIGN[family],
    "other pod": lambda world, family: world.other.address(family),
    "node": lambda world, family: ip_address(NODE_ADDRESS[family]),
    "gateway": lambda world, family: GATEWAY[family],
    "unspecified": lambda world, family: UNSPECIFIED[family],
}


@family
@pytest.mark.parametrize("whose", SOURCES)
def test_a_source_that_is_not_the_pods(world: World, family: int, whose: str) -> None:
    source = SOURCES[whose](world, family)
    assert world.arrived(*world.datagrams(source), *world.datagrams(source, world.other.mac)) == set()


def test_a_link_local_source_that_is_not_the_pods(world: World) -> None:
    assert world.arrived(*world.datagrams(link_local(world.other.mac))) == set()


@family
def test_a_mac_that_is_not_the_pods(world: World, family: int) -> None:
    own = world.hostile.address(family)
    macs = (FOREIGN_MAC, world.other.mac, world.gateway)
    assert world.arrived(*(frame for mac in macs for frame in world.datagrams(own, mac))) == set()


@family
def test_frames_past_the_gateway(world: World, family: int) -> None:
    """Straight to another pod's MAC: pods share no link. (Bridge netfilter may hand to the node what is for the node.)"""
    own = world.hostile.address(family)
    assert world.arrived(*(frame for mac in (world.other.mac, FOREIGN_MAC) for frame in world.datagrams(own, destination_mac=mac))) <= {
        "node"
    }


@family
def test_frames_to_everybody_and_to_groups(world: World, family: int) -> None:
    """Not even the node hears them: a pod needs no more of it than ARP and neighbour discovery."""
    own = world.hostile.address(family)
    group = frames.packet(ALL_NODES_MAC[family], world.hostile.mac, frames.udp(own, ALL_NODES[family], PORT, SIGN))
    assert world.arrived(group, *world.datagrams(own, destination_mac=BROADCAST)) == set()


@family
def test_tagged_frames(world: World, family: int) -> None:
    """A tag of VLAN 0 is taken off on the way in, behind the backs of rules that look for an ethertype."""
    for source in (world.hostile.address(family), FOREIGN[family]):
        tagged = [frame[:12] + struct.pack(">HH", VLAN, 0) + frame[12:] for frame in world.datagrams(source)]
        assert world.arrived(*tagged) == set()


def test_arp_in_anothers_name(world: World) -> None:
    own, other = world.hostile.address(4), world.other.address(4)
    claims = [
        (world.hostile.mac, world.hostile.mac, other),
        (world.other.mac, world.other.mac, other),
        (world.hostile.mac, FOREIGN_MAC, own),
        (world.hostile.mac, world.hostile.mac, GATEWAY[4]),
        (world.hostile.mac, world.hostile.mac, FOREIGN[4]),
    ]
    before = neighbours(world)
    for to in (BROADCAST, world.gateway, world.other.mac):
        messages = [
            (frame_mac, frames.arp(mac, sender, target)) for frame_mac, mac, sender in claims for target in (other, GATEWAY[4], sender)
        ]
        assert world.arrived(*(frames.ethernet(to, frame_mac, ARP, message + SIGN) for frame_mac, message in messages)) == set()
    assert neighbours(world) == before


def test_neighbour_discovery_in_anothers_name(world: World) -> None:
    own, other, local = world.hostile.address(6), world.other.address(6), link_local(world.hostile.mac)
    before = neighbours(world)
    for to, mac in ((ALL_NODES[6], ALL_NODES_MAC[6]), (GATEWAY[6], world.gateway), (other, world.other.mac)):
        forged = [
            *(frames.neighbour(ADVERTISEMENT, own, to, target, OPTION) for target in (other, GATEWAY[6], FOREIGN[6])),
            *(frames.neighbour(ADVERTISEMENT, source, to, source, OPTION) for source in (other, GATEWAY[6], link_local(world.other.mac))),
            *(frames.neighbour(REDIRECT, source, to, FOREIGN[6], other.packed + OPTION) for source in (own, local, GATEWAY[6])),
        ]
        assert world.arrived(*(frames.packet(mac, world.hostile.mac, packet) for packet in forged)) == set()
    assert neighbours(world) == before


def test_router_advertisements_even_behind_an_extension_header(world: World) -> None:
    local = link_local(world.hostile.mac)
    plain = frames.neighbour(ROUTER_ADVERTISEMENT, local, ALL_NODES[6], ip_address(bytes(8) + OPTION))
    padding = struct.pack(">BB6x", frames.ICMPV6, 0)
    hidden = frames.ip(local, ALL_NODES[6], 0, padding + plain[40:])
    for mac in (ALL_NODES_MAC[6], world.gateway, world.other.mac):
        assert world.arrived(*(frames.packet(mac, world.hostile.mac, packet) for packet in (plain, hidden))) == set()


def neighbours(world: World) -> list[str]:
    return [run(place, "ip neighbour show nud all | grep -v uplink | sort") for place in (NODE, world.other.place)]
