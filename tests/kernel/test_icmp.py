"""Echoes, errors and path MTU: what ICMP tells must reach whom it concerns, under every translation."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.packets import ping
from tests.places import NODE_ADDRESS, OUTSIDE, OUTSIDE_ADDRESS, UPLINK, Pod, make_pods, manifest, new_namespace, run
from tests.prober import NODE, Servers, family_of, inside
from tests.running import RunningAgent

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("bridge_netfilter")]

HOST_PORT, CLOSED, CLOSED_HOST_PORT = 8086, 9, 8087
FAR_ADDRESS, FAR_ROUTER = {4: "203.0.113.1", 6: "2001:db8:2::1"}, {4: "203.0.113.2", 6: "2001:db8:2::2"}
NARROW = 1300
BULK = 200_000

family = pytest.mark.parametrize("family", [4, 6])
IP = {4: socket.IPPROTO_IP, 6: socket.IPPROTO_IPV6}
MTU_DISCOVER, MTU, DO = {4: 10, 6: 23}, {4: 14, 6: 24}, 2
HEADERS = {4: 20 + 8, 6: 40 + 8}


@dataclass(frozen=True)
class World:
    a: Pod
    b: Pod
    far: Path
    """A place behind a router outside, the way to which is narrow."""


@pytest.fixture(scope="module")
def world(agent: RunningAgent) -> Iterator[World]:
    ports = [f"containerPort: 80, hostPort: {HOST_PORT}, protocol: {protocol}" for protocol in ("TCP", "UDP")]
    a, b = make_pods(agent, manifest("a", *ports, f"containerPort: {CLOSED}, hostPort: {CLOSED_HOST_PORT}, protocol: UDP"), manifest("b"))
    with new_namespace() as far, far_away(far), errors_without_limit(NODE, OUTSIDE, a.place, b.place), Servers() as servers:
        servers.listen(a.place, "a", 80)
        servers.listen(far, "far", 80)
        for address in OUTSIDE_ADDRESS.values():
            servers.listen(OUTSIDE, "outside", 80, address=address)
        yield World(a, b, far)


@contextmanager
def errors_without_limit(*places: Path) -> Iterator[None]:
    """The kernel sends six errors to a peer, then one a second."""
    set_all = "sysctl -qw net.ipv4.icmp_ratelimit={0} net.ipv6.icmp.ratelimit={0}"
    for place in places:
        run(place, set_all.format(0))
    yield
    for place in places:
        run(place, set_all.format(1000))


@contextmanager
def far_away(far: Path) -> Iterator[None]:
    """It claims to take full-sized segments, so that senders must find out."""
    run(OUTSIDE, f"ip link add far mtu {NARROW} type veth peer name near mtu {NARROW} netns {far}")
    for place, link in ((OUTSIDE, "far"), (far, "near")):
        run(place, f"sysctl -qw net.ipv6.conf.{link}.accept_dad=0; ip link set {link} up")
    for family, length in ((4, 30), (6, 64)):
        flags = "nodad" if family == 6 else ""
        run(OUTSIDE, f"ip address add {FAR_ROUTER[family]}/{length} dev far {flags}")
        run(far, f"ip address add {FAR_ADDRESS[family]}/{length} dev near {flags}")
        run(far, f"ip route add default via {FAR_ROUTER[family]} advmss 1440")
    yield
    run(OUTSIDE, "ip link del far")


@family
class TestEcho:
    def test_between_pods(self, world: World, family: int) -> None:
        assert ping(world.a.place, world.b.addresses[family])

    def test_pod_to_node(self, world: World, family: int) -> None:
        assert ping(world.a.place, NODE_ADDRESS[family])

    def test_pod_to_itself(self, world: World, family: int) -> None:
        assert ping(world.a.place, world.a.addresses[family])

    def test_node_to_pod(self, world: World, family: int) -> None:
        assert ping(NODE, world.a.addresses[family])

    def test_pod_to_outside(self, world: World, family: int) -> None:
        assert ping(world.a.place, OUTSIDE_ADDRESS[family])

    def test_outside_has_no_way_to_a_pod(self, world: World, family: int) -> None:
        with pytest.raises(OSError, match="unreachable"):
            ping(OUTSIDE, world.a.addresses[family])


def datagram_socket(place: Path, family: int, to: str = "", port: int = 0, *, source: str = "", source_port: int = 0) -> socket.socket:
    with inside(place):
        made = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
    made.settimeout(1)
    made.bind((source, source_port))
    if to:
        made.connect((to, port))
    return made


def server_of(pod: Pod, family: int) -> socket.socket:
    """Behind CLOSED_HOST_PORT, for as long as it is open."""
    return datagram_socket(pod.place, family, source_port=CLOSED)


def is_told_that_the_port_is_closed(client: socket.socket) -> bool:
    client.send(b"?")
    with pytest.raises(ConnectionRefusedError):
        client.recv(16)
    return True


@family
class TestPortUnreachable:
    def test_from_pod_to_pod(self, world: World, family: int) -> None:
        with datagram_socket(world.b.place, family, world.a.addresses[family], CLOSED) as client:
            assert is_told_that_the_port_is_closed(client)

    def test_from_pod_to_node(self, world: World, family: int) -> None:
        with datagram_socket(world.b.place, family, NODE_ADDRESS[family], CLOSED) as client:
            assert is_told_that_the_port_is_closed(client)

    def test_from_node_to_pod(self, world: World, family: int) -> None:
        with datagram_socket(NODE, family, world.a.addresses[family], CLOSED) as client:
            assert is_told_that_the_port_is_closed(client)

    def test_masqueraded(self, world: World, family: int) -> None:
        with datagram_socket(world.b.place, family, OUTSIDE_ADDRESS[family], CLOSED) as client:
            assert is_told_that_the_port_is_closed(client)

    @pytest.mark.parametrize("where", ["outside", "node", "other pod", "same pod"])
    def test_of_a_host_port(self, world: World, family: int, where: str) -> None:
        place = {"outside": OUTSIDE, "node": NODE, "other pod": world.b.place, "same pod": world.a.place}[where]
        with datagram_socket(place, family, NODE_ADDRESS[family], CLOSED_HOST_PORT) as client:
            assert is_told_that_the_port_is_closed(client)

    def test_of_a_client_that_went_away(self, world: World, family: int) -> None:
        """The error goes the other way: outside tells the node, which must know the pod that answered too late."""
        with server_of(world.a, family) as server:
            with datagram_socket(OUTSIDE, family, NODE_ADDRESS[family], CLOSED_HOST_PORT) as client:
                client.send(b"?")
                server.connect(server.recvfrom(16)[1])
            assert is_told_that_the_port_is_closed(server)


def bulk(place: Path, address: str, port: int, *, source: str = "") -> int:
    """Bytes that came back of a large transfer there and back."""
    with inside(place):
        client = socket.socket(family_of(address), socket.SOCK_STREAM)
    with client:
        client.settimeout(2)
        client.bind((source, 0))
        client.connect((address, port))
        sender = threading.Thread(target=client.sendall, args=(bytes(BULK),))
        sender.start()
        count = 0
        while count < BULK:
            count += len(client.recv(65536))
        sender.join()
    return count


def known_mtu(place: Path, address: str) -> int:
    """What a place has learned of the way to an address."""
    (route,) = json.loads(run(place, f"ip -j route get {address}"))
    return int(next((metric["mtu"] for metric in route.get("metrics", ()) if "mtu" in metric), 0))


def forget_paths(*places: Path) -> None:
    for place in places:
        run(place, "ip -4 route flush cache; ip -6 route flush cache; ip tcp_metrics flush")


@contextmanager
def narrow_way_out() -> Iterator[None]:
    """As if the node's own link to some destination were narrower than what its pods were told."""
    gateways = ((OUTSIDE_ADDRESS[4], "192.0.2.1"), (OUTSIDE_ADDRESS[6], "2001:db8::1"))
    routes = [f"{address} via {gateway} dev {UPLINK} mtu {NARROW}" for address, gateway in gateways]
    run(NODE, "; ".join(f"ip route add {route}" for route in routes))
    yield
    run(NODE, "; ".join(f"ip route del {route}" for route in routes))


@dataclass(frozen=True)
class Way:
    """From a pod to a destination that only a router on the way knows to be narrow."""

    destination: dict[int, str]
    place: Path


@pytest.fixture(params=["router outside", "node"])
def narrow(request: pytest.FixtureRequest, world: World) -> Iterator[Way]:
    forget_paths(world.a.place, world.b.place, world.far, OUTSIDE)
    if request.param == "router outside":
        yield Way(FAR_ADDRESS, world.far)
        return
    with narrow_way_out():
        yield Way(OUTSIDE_ADDRESS, OUTSIDE)


@family
class TestPathMtu:
    def test_a_stream_of_a_pod(self, world: World, family: int, narrow: Way) -> None:
        to = narrow.destination[family]
        assert bulk(world.b.place, to, 80) >= BULK
        assert known_mtu(world.b.place, to) == NARROW

    def test_a_stream_to_a_host_port(self, world: World, family: int, narrow: Way) -> None:
        assert bulk(narrow.place, NODE_ADDRESS[family], HOST_PORT, source=narrow.destination[family]) >= BULK
        assert known_mtu(world.a.place, narrow.destination[family]) == NARROW

    def test_a_datagram_of_a_pod(self, world: World, family: int, narrow: Way) -> None:
        with datagram_socket(world.b.place, family, narrow.destination[family], 80) as client:
            assert is_told_the_path_mtu(client, family) == NARROW
            client.send(bytes(NARROW - HEADERS[family]))
            assert len(client.recv(2000)) == NARROW - HEADERS[family]

    def test_a_datagram_that_answers_through_a_host_port(self, world: World, family: int, narrow: Way) -> None:
        client = datagram_socket(narrow.place, family, NODE_ADDRESS[family], CLOSED_HOST_PORT, source=narrow.destination[family])
        with client, server_of(world.a, family) as server:
            client.send(b"?")
            server.connect(server.recvfrom(16)[1])
            assert is_told_the_path_mtu(server, family) == NARROW
            server.send(bytes(NARROW - HEADERS[family]))
            assert len(client.recv(2000)) == NARROW - HEADERS[family]


def is_told_the_path_mtu(sender: socket.socket, family: int) -> int:
    """Send what fits the link but not the path, with "don't fragment"; the MTU that the error reports."""
    sender.setsockopt(IP[family], MTU_DISCOVER[family], DO)
    sender.send(bytes(1400))
    with pytest.raises(OSError, match="Message too long"):
        sender.recv(16)
    return sender.getsockopt(IP[family], MTU[family])
