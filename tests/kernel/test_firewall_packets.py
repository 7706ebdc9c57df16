"""The firewall against frames: a node made by hand, and pods that send whatever they like.

A datagram that must not arrive is followed by one that must: what the receiver reads first decides, nothing waits.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

import pytest

from agent.config import Mode
from agent.kernel import netns, nft
from agent.kernel.nft import Nft
from agent.network import firewall
from agent.network.firewall.antispoof import link_local
from agent.network.firewall.tables import layer2
from agent.network.node import GATEWAY_MAC, NodeNetwork
from agent.objects.attachment import Attachment, PortMapping, Protocol
from tests import frames
from tests.fresh import in_new_netns, shell
from tests.unit.network_firewall.pods import node, pod

pytestmark = [pytest.mark.kernel, pytest.mark.needs("ip", "bridge")]

NODE: dict[int, frames.Address] = {4: IPv4Address("10.73.0.1"), 6: IPv6Address("fd73::1")}
LOCALHOST = IPv4Address("127.0.0.1")
PORT, HOST_PORT, POD_PORT = 9999, 8080, 80
BRIDGE_MAC = "0a:58:0a:49:00:01"
FOREIGN_MAC = "02:00:00:00:00:99"
GOOD, BAD = b"good", b"bad!"
CLIENT, UNKNOWN = pod(2), pod(4)
SERVER = pod(3, PortMapping(host_port=HOST_PORT, container_port=POD_PORT, protocol=Protocol.UDP))
BRIDGED = "net.bridge.bridge-nf-call-iptables={0} net.bridge.bridge-nf-call-ip6tables={0} net.bridge.bridge-nf-call-arptables={0}"


def of(attachment: Attachment, family: int) -> frames.Address:
    return next(one for one in attachment.addresses if one.version == family)


@dataclass
class World:
    network: NodeNetwork
    session: Nft
    inbox: socket.socket
    wires: dict[str, socket.socket]

    def send(self, sender: Attachment, payload: bytes, *, source_mac: str = "", destination_mac: str = "") -> None:
        """A packet from a pod's end of the wire, by default to the gateway and from the pod's own MAC."""
        gateway = GATEWAY_MAC if self.network.mode is Mode.ROUTED else BRIDGE_MAC
        self.wires[sender.host_ifname].send(frames.packet(destination_mac or gateway, source_mac or sender.mac, payload))

    def node_reads(self, family: int) -> bytes:
        """The first datagram at the node's server; an honest one is behind all others."""
        self.send(CLIENT, frames.udp(of(CLIENT, family), NODE[family], PORT, GOOD))
        first = self.inbox.recv(100)
        if first != GOOD:
            assert self.inbox.recv(100) == GOOD
        return first

    def pod_reads(self, receiver: Attachment, family: int) -> bytes:
        """The first datagram on a pod's wire; one through the host port is behind all others."""
        self.send(CLIENT, frames.udp(of(CLIENT, family), NODE[family], HOST_PORT, GOOD))
        while True:
            frame = self.wires[receiver.host_ifname].recv(2000)
            for data in (GOOD, BAD):
                if frame.endswith(data):
                    return data


@contextmanager
def world(mode: Mode) -> Iterator[World]:
    """A node with two pods it knows and one it does not."""
    network, pods, known = node(mode), (CLIENT, SERVER, UNKNOWN), (CLIENT, SERVER)
    make_node(mode)
    with ExitStack() as stack:
        namespaces = {each.host_ifname: stack.enter_context(a_namespace()) for each in pods}
        wires = {each.host_ifname: stack.enter_context(make_wire(each, mode, namespaces[each.host_ifname])) for each in pods}
        session = Nft.open(own_tables=False)
        stack.callback(session.close)
        nft.ensure_ruleset(
            session,
            firewall.skeleton(network),
            elements=[element for each in known for element in firewall.elements(network, each)],
            chains=[chain for each in pods for chain in firewall.device_chains(network, each)],
        )
        for each in pods:
            make_reachable(each, mode)
        for namespace in namespaces.values():
            with netns.entered(namespace):
                wait_for_carrier("eth0")
        for each in pods:
            wait_for_carrier(each.host_ifname)
        if mode is Mode.BRIDGE:
            wait_for_carrier("pw0")
        inbox = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        inbox.bind(("::", PORT))
        inbox.settimeout(5)
        yield World(network, session, inbox, wires)


def make_node(mode: Mode) -> None:
    """Routed pods have no bridge: there pw0 is some other device that holds the node's addresses."""
    v4, v6 = (20, 64) if mode is Mode.BRIDGE else (32, 128)
    shell(f"ip link set lo up; ip link add pw0 type bridge && ip link set pw0 address {BRIDGE_MAC} up")
    shell(f"ip addr add {NODE[4]}/{v4} dev pw0 && ip addr add {NODE[6]}/{v6} dev pw0 nodad")
    shell("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.pw0.route_localnet=1")


@contextmanager
def a_namespace() -> Iterator[int]:
    descriptor = in_new_netns(lambda: os.open("/proc/thread-self/ns/net", os.O_RDONLY))
    yield descriptor
    os.close(descriptor)


def make_wire(attachment: Attachment, mode: Mode, namespace: int) -> socket.socket:
    """A pod's veth, and a raw socket on the pod's end of it."""
    link = attachment.host_ifname
    shell(f"ip link add {link} type veth peer name eth0 netns /proc/{os.getpid()}/fd/{namespace}")
    if mode is Mode.BRIDGE:
        shell(f"ip link set {link} master pw0 && bridge link set dev {link} hairpin on learning off flood off")
        shell(f"bridge fdb replace {attachment.mac} dev {link} master static")
    else:
        shell(f"ip link set {link} address {GATEWAY_MAC}")
    with netns.entered(namespace):
        shell(f"ip link set eth0 address {attachment.mac} arp off up")
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        raw.bind(("eth0", 3))
    raw.settimeout(5)
    return raw


def make_reachable(attachment: Attachment, mode: Mode) -> None:
    link = attachment.host_ifname
    shell(f"ip link set {link} up && sysctl -qw net.ipv4.conf.{link}.route_localnet=1")
    for one in attachment.addresses:
        if mode is Mode.ROUTED:
            shell(f"ip route add {one} dev {link}")
        device = "pw0" if mode is Mode.BRIDGE else link
        shell(f"ip neigh replace {one} lladdr {attachment.mac} dev {device} nud permanent")


def wait_for_carrier(device: str) -> None:
    """A device whose carrier just came drops what it is given until the kernel's link watch has seen it."""
    deadline = time.monotonic() + 10
    while "state UP" not in shell(f"ip link show {device}"):
        assert time.monotonic() < deadline, f"{device} has no carrier"
        time.sleep(0.001)


def run(mode: Mode, test: Callable[[World], None], bridge_nf: int | None = None) -> None:
    def inside() -> None:
        with world(mode) as here:
            if bridge_nf is not None:
                shell(f"sysctl -qw {BRIDGED.format(bridge_nf)}")
            test(here)

    in_new_netns(inside)


SETTINGS = [
    pytest.param(Mode.BRIDGE, 0, id="bridge-nf0"),
    pytest.param(Mode.BRIDGE, 1, id="bridge-nf1"),
    pytest.param(Mode.ROUTED, None, id="routed"),
]
in_every_setting = pytest.mark.parametrize(("mode", "bridge_nf"), SETTINGS)
in_both_families = pytest.mark.parametrize("family", [4, 6])


@in_every_setting
@in_both_families
def test_only_a_pods_own_packets_reach_the_node(mode: Mode, bridge_nf: int | None, family: int) -> None:
    def test(world: World) -> None:
        def forged(source: frames.Address) -> bytes:
            return frames.udp(source, NODE[family], PORT, BAD)

        world.send(CLIENT, forged(of(SERVER, family)))
        world.send(CLIENT, forged(NODE[family]))
        world.send(CLIENT, forged(of(CLIENT, family) + 99))
        world.send(CLIENT, forged(of(CLIENT, family)), source_mac=FOREIGN_MAC)
        world.send(CLIENT, forged(of(CLIENT, family)), source_mac=SERVER.mac)
        world.send(SERVER, forged(of(CLIENT, family)), source_mac=CLIENT.mac)
        world.send(UNKNOWN, forged(of(UNKNOWN, family)))
        assert world.node_reads(family) == GOOD

    run(mode, test, bridge_nf)


@in_every_setting
def test_a_pod_may_use_its_own_link_local_address_and_no_other(mode: Mode, bridge_nf: int | None) -> None:
    def test(world: World) -> None:
        world.send(CLIENT, frames.udp(link_local(SERVER.mac), NODE[6], PORT, BAD))
        assert world.node_reads(6) == GOOD
        world.send(CLIENT, frames.udp(link_local(CLIENT.mac), NODE[6], PORT, BAD))
        assert world.node_reads(6) == BAD

    run(mode, test, bridge_nf)


@in_every_setting
@in_both_families
def test_a_pod_that_is_made_known_passes_and_one_that_is_forgotten_does_not(mode: Mode, bridge_nf: int | None, family: int) -> None:
    def test(world: World) -> None:
        datagram = frames.udp(of(UNKNOWN, family), NODE[family], PORT, BAD)
        world.session.commit(nft.put(*firewall.elements(world.network, UNKNOWN)))
        world.send(UNKNOWN, datagram)
        assert world.node_reads(family) == BAD
        world.session.commit(nft.destroy(*firewall.elements(world.network, UNKNOWN)))
        world.send(UNKNOWN, datagram)
        assert world.node_reads(family) == GOOD

    run(mode, test, bridge_nf)


@in_every_setting
def test_without_the_layer_two_table_nothing_passes(mode: Mode, bridge_nf: int | None) -> None:
    def test(world: World) -> None:
        assert world.node_reads(4) == GOOD
        table = layer2(world.network)
        skeleton = firewall.skeleton(world.network)
        world.session.commit(nft.destroy(table))
        world.send(CLIENT, frames.udp(of(CLIENT, 4), NODE[4], PORT, BAD))
        pods = (CLIENT, SERVER)
        nft.ensure_ruleset(
            world.session,
            skeleton,
            elements=[element for each in pods for element in firewall.elements(world.network, each)],
            chains=[chain for each in pods for chain in firewall.device_chains(world.network, each)],
        )
        assert world.node_reads(4) == GOOD

    run(mode, test, bridge_nf)


@in_every_setting
def test_the_nodes_loopback_is_closed_to_pods(mode: Mode, bridge_nf: int | None) -> None:
    def test(world: World) -> None:
        world.send(CLIENT, frames.udp(of(CLIENT, 4), LOCALHOST, PORT, BAD))
        world.send(CLIENT, frames.udp(LOCALHOST, NODE[4], PORT, BAD))
        assert world.node_reads(4) == GOOD

    run(mode, test, bridge_nf)


@in_every_setting
@in_both_families
def test_frames_straight_to_another_pod_do_not_arrive_but_its_host_port_does(mode: Mode, bridge_nf: int | None, family: int) -> None:
    def test(world: World) -> None:
        straight = frames.udp(of(CLIENT, family), of(SERVER, family), POD_PORT, BAD)
        world.send(CLIENT, straight, destination_mac=SERVER.mac)
        world.send(CLIENT, straight, destination_mac="ff:ff:ff:ff:ff:ff")
        assert world.pod_reads(SERVER, family) == GOOD

    run(mode, test, bridge_nf)


@pytest.mark.parametrize("mode", list(Mode))
@in_both_families
def test_a_host_port_leads_to_the_pod_from_the_pod_itself_and_from_the_node(mode: Mode, family: int) -> None:
    def test(world: World) -> None:
        world.send(SERVER, frames.udp(of(SERVER, family), NODE[family], HOST_PORT, BAD))
        assert world.pod_reads(SERVER, family) == BAD
        for destination in (NODE[family], *([LOCALHOST] if family == 4 else [])):
            kind = socket.AF_INET if family == 4 else socket.AF_INET6
            with socket.socket(kind, socket.SOCK_DGRAM) as node_client:
                node_client.sendto(BAD, (str(destination), HOST_PORT))
            assert world.pod_reads(SERVER, family) in (GOOD, BAD)

    run(mode, test)


@pytest.mark.parametrize("bridge_nf", [0, 1])
def test_arp_and_neighbour_discovery_of_a_pod_are_its_own(bridge_nf: int) -> None:
    """Seen on the bridge, behind the judgement."""

    def test(world: World) -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as tap:
            tap.bind(("pw0", 3))
            tap.settimeout(5)
            wire, everyone, own = world.wires[CLIENT.host_ifname], "ff:ff:ff:ff:ff:ff", of(CLIENT, 4)
            for mac, sender, claimed_mac in (
                (CLIENT.mac, of(SERVER, 4), CLIENT.mac),
                (CLIENT.mac, own, SERVER.mac),
                (SERVER.mac, own, CLIENT.mac),
                (CLIENT.mac, NODE[4], CLIENT.mac),
            ):
                wire.send(frames.ethernet(everyone, mac, 0x0806, frames.arp(claimed_mac, sender, NODE[4])))
            allowed = [frames.ethernet(everyone, CLIENT.mac, 0x0806, frames.arp(CLIENT.mac, own, NODE[4]))]
            allowed += [frames.packet(BRIDGE_MAC, CLIENT.mac, message) for message in discovery(own_target=True)]
            for message in discovery(own_target=False):
                wire.send(frames.packet(BRIDGE_MAC, CLIENT.mac, message))
            for frame in allowed:
                wire.send(frame)
            assert [from_pod(tap) for _ in allowed] == allowed

    run(Mode.BRIDGE, test, bridge_nf)


def from_pod(tap: socket.socket) -> bytes:
    """The next frame on the bridge that the node did not send itself."""
    while (frame := tap.recv(2000))[6:12] == frames.mac(BRIDGE_MAC):
        pass
    return frame


def discovery(*, own_target: bool) -> list[bytes]:
    """Neighbour messages a pod may send, or the same about another pod's address (and what only routers send)."""
    source, target = of(CLIENT, 6), of(CLIENT if own_target else SERVER, 6)
    unspecified = IPv6Address("::")
    messages = [
        frames.neighbour(136, source, NODE[6], target),
        frames.neighbour(136, link_local(CLIENT.mac), NODE[6], target),
        frames.neighbour(135, unspecified, NODE[6], target),
    ]
    if own_target:
        return [*messages, frames.neighbour(135, source, NODE[6], NODE[6])]
    routers = [frames.neighbour(kind, link_local(CLIENT.mac), NODE[6], source) for kind in (134, 137)]
    return [*messages, *routers, frames.neighbour(136, unspecified, NODE[6], source)]
