"""Host ports: which of the node's addresses they are on, who may not be hijacked by them, who holds them."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

import pytest

from tests import frames
from tests.packets import Wire, on_one_cpu
from tests.places import (
    NODE_ADDRESS,
    OUTSIDE,
    OUTSIDE_ADDRESS,
    SEGMENT,
    UPLINK,
    Pod,
    delete_pods,
    eventually,
    gateway_mac,
    make_pods,
    manifest,
    run,
)
from tests.prober import NODE, Servers, answer, ask
from tests.running import RunningAgent

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("bridge_netfilter")]

LOCALHOST = "127.0.0.1"
EVERYWHERE, ON_IPV4, ON_IPV6, ON_LOCALHOST = 8081, 8082, 8083, 8084
NODE_PORT = 7002
PODS = [
    manifest(
        "a",
        *(f"containerPort: 80, hostPort: {EVERYWHERE}, protocol: {protocol}" for protocol in ("TCP", "UDP")),
        f"containerPort: 80, hostPort: {ON_IPV4}, hostIP: {NODE_ADDRESS[4]}",
        f"containerPort: 80, hostPort: {ON_IPV6}, hostIP: '{NODE_ADDRESS[6]}'",
        *(f"containerPort: 80, hostPort: {ON_LOCALHOST}, hostIP: {LOCALHOST}, protocol: {protocol}" for protocol in ("TCP", "UDP")),
    ),
    manifest("b"),
]
OWN_ADDRESS_PORT = {4: ON_IPV4, 6: ON_IPV6}
GATEWAY = {4: "10.73.0.1", 6: "fd73:7077:7269::1"}

family = pytest.mark.parametrize("family", [4, 6])
kind = pytest.mark.parametrize("kind", ["tcp", "udp"])


@dataclass(frozen=True)
class World:
    a: Pod
    b: Pod


@pytest.fixture(scope="module")
def world(agent: RunningAgent) -> Iterator[World]:
    a, b = make_pods(agent, *PODS)
    with Servers() as servers:
        for pod in (a, b):
            servers.listen(pod.place, pod.name, 80)
        servers.listen(b.place, "b", EVERYWHERE)
        for address in OUTSIDE_ADDRESS.values():
            servers.listen(OUTSIDE, "outside", EVERYWHERE, address=address)
        yield World(a, b)


@family
def test_a_host_ip_is_the_only_address_of_its_port(world: World, family: int) -> None:
    port = OWN_ADDRESS_PORT[family]
    for place in (OUTSIDE, NODE, world.b.place, world.a.place):
        assert answer(place, "tcp", NODE_ADDRESS[family], port).name == "a"
        assert ask(place, "tcp", NODE_ADDRESS[10 - family], port) is None
    assert ask(NODE, "tcp", GATEWAY[family], port) is None
    assert ask(world.b.place, "tcp", GATEWAY[family], port) is None


@kind
def test_a_port_on_localhost_is_for_the_node_alone(world: World, kind: str) -> None:
    assert answer(NODE, kind, LOCALHOST, ON_LOCALHOST).name == "a"
    for place in (NODE, OUTSIDE, world.b.place):
        assert ask(place, kind, NODE_ADDRESS[4], ON_LOCALHOST) is None
    assert ask(world.b.place, kind, LOCALHOST, ON_LOCALHOST) is None


@family
@kind
class TestForwardedTraffic:
    """A port is the node's only together with an address of the node."""

    def test_of_a_pod_to_the_outside(self, world: World, family: int, kind: str) -> None:
        assert answer(world.b.place, kind, OUTSIDE_ADDRESS[family], EVERYWHERE).name == "outside"

    def test_of_the_outside_to_a_pod(self, world: World, family: int, kind: str, outside_knows_the_pods: None) -> None:
        assert answer(OUTSIDE, kind, world.b.addresses[family], EVERYWHERE).name == "b"

    def test_of_a_pod_to_a_pod(self, world: World, family: int, kind: str) -> None:
        assert answer(world.a.place, kind, world.b.addresses[family], EVERYWHERE).name == "b"

    def test_of_the_node_itself(self, world: World, family: int, kind: str) -> None:
        assert answer(NODE, kind, OUTSIDE_ADDRESS[family], EVERYWHERE).name == "outside"


@pytest.fixture
def outside_knows_the_pods(world: World) -> Iterator[None]:
    routes = [f"ip route {{}} {world.b.addresses[family]} via {NODE_ADDRESS[family]}" for family in (4, 6)]
    run(OUTSIDE, "; ".join(route.format("add") for route in routes))
    yield
    run(OUTSIDE, "; ".join(route.format("del") for route in routes))


class TestMartians:
    """127/8 on the wire, by whoever shares the node's segment or sits in a pod: CVE-2020-8558 and its kin.

    Pod devices have route_localnet, and a host port on 127.0.0.1 is translated before the kernel looks for martians.
    """

    ME, NODE_IP, LOOPBACK = (ip_address(text) for text in (OUTSIDE_ADDRESS[4], NODE_ADDRESS[4], LOCALHOST))

    def test_from_outside(self, world: World, node_loopback: Callable[[], list[bytes]]) -> None:
        with Wire(OUTSIDE, SEGMENT) as outside, Wire(NODE, UPLINK) as uplink, Wire(world.a.place, "eth0") as pod, on_one_cpu():
            forged = [frames.udp(self.ME, self.LOOPBACK, port, b"martian") for port in (ON_LOCALHOST, EVERYWHERE, NODE_PORT)]
            forged += [frames.udp(self.LOOPBACK, self.NODE_IP, EVERYWHERE, b"martian")]
            honest = frames.udp(self.ME, self.NODE_IP, EVERYWHERE, b"fence")
            outside.send(*(frames.packet(uplink.mac, outside.mac, packet) for packet in (*forged, honest)))
            assert not [frame for frame in pod.seen_until(b"fence") if b"martian" in frame]
        assert node_loopback() == []

    def test_from_a_pod(self, world: World, node_loopback: Callable[[], list[bytes]]) -> None:
        a, b = world.a.address(4), world.b.address(4)
        with Wire(world.b.place, "eth0") as sender, Wire(world.a.place, "eth0") as pod, on_one_cpu():
            forged = [frames.udp(b, self.LOOPBACK, port, b"martian") for port in (ON_LOCALHOST, EVERYWHERE, NODE_PORT)]
            forged += [frames.udp(self.LOOPBACK, to, EVERYWHERE, b"martian") for to in (self.NODE_IP, a)]
            honest = frames.udp(b, a, 80, b"fence")
            sender.send(*(frames.packet(gateway_mac(world.b), sender.mac, packet) for packet in (*forged, honest)))
            assert not [frame for frame in pod.seen_until(b"fence") if b"martian" in frame]
        assert node_loopback() == []


@pytest.fixture
def node_loopback() -> Iterator[Callable[[], list[bytes]]]:
    """A service of the node that listens on 127.0.0.1 only; calling it gives what it has heard."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((LOCALHOST, NODE_PORT))
        server.setblocking(False)
        yield lambda: [server.recv(64)] if select.select([server], [], [], 0)[0] else []


def test_a_conflict_names_the_owner(world: World, agent: RunningAgent) -> None:
    agent.apply(manifest("late", f"containerPort: 80, hostPort: {ON_IPV4}"))
    late = "/api/v1/namespaces/default/pods/late"
    said = eventually(
        lambda: [c["message"] for c in agent.client.get(late).get("status", {}).get("conditions", ()) if c.get("reason") == "SandboxFailed"]
    )
    assert said == [f"cannot build sandbox of pod default/late: hostPort {ON_IPV4}/TCP is held by pod default/a"]
    delete_pods(agent, "late")
