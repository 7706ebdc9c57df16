"""Who reaches whom, with real packets: both modes, both families, TCP and UDP, with br_netfilter on, off and flipped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.kernel.conftest import bridge_netfilter_set, flip_bridge_netfilter
from tests.places import NODE_ADDRESS, OUTSIDE, OUTSIDE_ADDRESS, Pod, make_pods, manifest
from tests.prober import NODE, Conversation, Servers, ask
from tests.running import RunningAgent

pytestmark = pytest.mark.kernel

HOST_PORT = {"a": 8081, "b": 8082}
PODS = [
    manifest(name, *(f"containerPort: 80, hostPort: {port}, protocol: {protocol}" for protocol in ("TCP", "UDP")))
    for name, port in HOST_PORT.items()
]


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
        servers.listen(NODE, "node", 7000)
        for address in OUTSIDE_ADDRESS.values():
            servers.listen(OUTSIDE, "outside", 7001, address=address)
        yield World(a, b)


family = pytest.mark.parametrize("family", [4, 6])
kind = pytest.mark.parametrize("kind", ["tcp", "udp"])


@family
@kind
@pytest.mark.usefixtures("bridge_netfilter")
class TestReach:
    def test_pod_to_pod_with_its_own_address(self, world: World, family: int, kind: str) -> None:
        answer = ask(world.a.place, kind, world.b.addresses[family], 80)
        assert answer is not None
        assert (answer.name, answer.saw) == ("b", world.a.addresses[family])

    def test_node_to_pod(self, world: World, family: int, kind: str) -> None:
        answer = ask(NODE, kind, world.a.addresses[family], 80)
        assert answer is not None
        assert answer.name == "a"

    def test_pod_to_the_nodes_address(self, world: World, family: int, kind: str) -> None:
        answer = ask(world.a.place, kind, NODE_ADDRESS[family], 7000)
        assert answer is not None
        assert (answer.name, answer.saw, answer.sender) == ("node", world.a.addresses[family], NODE_ADDRESS[family])

    def test_pod_to_outside_leaves_with_the_nodes_address(self, world: World, family: int, kind: str) -> None:
        answer = ask(world.a.place, kind, OUTSIDE_ADDRESS[family], 7001)
        assert answer is not None
        assert (answer.name, answer.saw) == ("outside", NODE_ADDRESS[family])

    def test_outside_to_a_host_port_shows_the_client(self, world: World, family: int, kind: str) -> None:
        answer = ask(OUTSIDE, kind, NODE_ADDRESS[family], HOST_PORT["a"])
        assert answer is not None
        assert (answer.name, answer.sender) == ("a", NODE_ADDRESS[family])
        assert answer.saw not in world.b.addresses.values()

    def test_node_to_its_own_host_port(self, world: World, family: int, kind: str) -> None:
        answer = ask(NODE, kind, NODE_ADDRESS[family], HOST_PORT["a"])
        assert answer is not None
        assert answer.name == "a"

    def test_pod_to_a_host_port_of_another_pod(self, world: World, family: int, kind: str) -> None:
        answer = ask(world.a.place, kind, NODE_ADDRESS[family], HOST_PORT["b"])
        assert answer is not None
        assert (answer.name, answer.saw, answer.sender) == ("b", world.a.addresses[family], NODE_ADDRESS[family])

    def test_pod_to_its_own_host_port(self, world: World, family: int, kind: str) -> None:
        answer = ask(world.a.place, kind, NODE_ADDRESS[family], HOST_PORT["a"])
        assert answer is not None
        assert (answer.name, answer.sender) == ("a", NODE_ADDRESS[family])


@kind
def test_localhost_host_port_ipv4(world: World, kind: str) -> None:
    answer = ask(NODE, kind, "127.0.0.1", HOST_PORT["a"])
    assert answer is not None
    assert answer.name == "a"


@family
def test_a_pods_loopback_is_its_own(world: World, family: int) -> None:
    here = {4: "127.0.0.1", 6: "::1"}[family]
    answer = ask(world.a.place, "tcp", here, 80)
    assert answer is not None
    assert answer.name == "a"


def test_a_pod_cannot_reach_the_nodes_loopback_through_its_gateway(world: World) -> None:
    """route_localnet is on for pod devices, so 127/8 that comes from a pod must be dropped by us."""
    with Servers() as servers:
        servers.listen(NODE, "node-loopback", 7002, address="127.0.0.1")
        assert ask(NODE, "tcp", "127.0.0.1", 7002) is not None
        assert ask(world.a.place, "tcp", "127.0.0.1", 7002) is None


@pytest.mark.parametrize("mode", ["bridge"], scope="module")
@pytest.mark.parametrize("switched", ["01010", "10101"])
@family
@kind
def test_flows_go_on_while_bridge_netfilter_is_switched(world: World, family: int, kind: str, switched: str) -> None:
    """Docker, or a kubelet, turns it on; somebody turns it off again. A flow may be in either path at any time."""
    ways = [
        (world.a.place, world.b.addresses[family], 80),
        (world.a.place, NODE_ADDRESS[family], HOST_PORT["b"]),
        (world.a.place, NODE_ADDRESS[family], HOST_PORT["a"]),
        (world.a.place, NODE_ADDRESS[family], 7000),
        (world.a.place, OUTSIDE_ADDRESS[family], 7001),
        (OUTSIDE, NODE_ADDRESS[family], HOST_PORT["a"]),
        (NODE, world.a.addresses[family], 80),
        (NODE, NODE_ADDRESS[family], HOST_PORT["a"]),
    ]
    with bridge_netfilter_set(switched[0]), ExitStack() as stack:
        flows = {way: stack.enter_context(Conversation(way[0], kind, *way[1:])) for way in ways}
        for value in switched:
            flip_bridge_netfilter(value)
            assert [way for way, flow in flows.items() if flow.ask() is None] == []
