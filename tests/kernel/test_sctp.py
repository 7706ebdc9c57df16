"""SCTP host ports, without an SCTP stack: the associations' first two packets, made and read by hand."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest

from tests.packets import INIT, INIT_ACK, Sctp, SctpEnd
from tests.places import NODE_ADDRESS, OUTSIDE, OUTSIDE_ADDRESS, Pod, make_pods, manifest
from tests.prober import NODE
from tests.running import RunningAgent

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("bridge_netfilter")]

HOST_PORT, POD_PORT = 8085, 3868
CLIENT_TAG, SERVER_TAG = 0x1111, 0x2222
CLIENT_PORTS = itertools.count(40000)

family = pytest.mark.parametrize("family", [4, 6])


@dataclass(frozen=True)
class World:
    server: Pod
    other: Pod


@pytest.fixture(scope="module")
def world(agent: RunningAgent) -> World:
    other = manifest("other")
    server = manifest("server", f"containerPort: {POD_PORT}, hostPort: {HOST_PORT}, protocol: SCTP")
    return World(*reversed(make_pods(agent, other, server)))


@pytest.fixture
def client_port() -> int:
    """Another one for each test: a half-open association is remembered."""
    return next(CLIENT_PORTS)


def greet(client: SctpEnd, server: SctpEnd, to: str, port: int, client_port: int) -> tuple[str, str]:
    """INIT there and INIT-ACK back. Returns whom the server saw, and whom the client was answered by."""
    client.send(Sctp(client_port, port, INIT, CLIENT_TAG), to)
    init, saw = server.receive(INIT)
    assert (init.destination_port, init.tag) == (POD_PORT, CLIENT_TAG)
    server.send(Sctp(POD_PORT, init.source_port, INIT_ACK, SERVER_TAG, verification_tag=init.tag), saw)
    ack, sender = client.receive(INIT_ACK)
    assert ack == Sctp(port, client_port, INIT_ACK, SERVER_TAG, verification_tag=CLIENT_TAG)
    return saw, sender


@family
class TestHostPort:
    def test_from_outside_with_the_clients_address(self, world: World, family: int, client_port: int) -> None:
        with SctpEnd(OUTSIDE, family) as client, SctpEnd(world.server.place, family) as server:
            saw, sender = greet(client, server, NODE_ADDRESS[family], HOST_PORT, client_port)
        assert sender == NODE_ADDRESS[family]
        assert saw not in (NODE_ADDRESS[family], *world.other.addresses.values())

    def test_from_another_pod_with_its_address(self, world: World, family: int, client_port: int) -> None:
        with SctpEnd(world.other.place, family) as client, SctpEnd(world.server.place, family) as server:
            saw, sender = greet(client, server, NODE_ADDRESS[family], HOST_PORT, client_port)
        assert (saw, sender) == (world.other.addresses[family], NODE_ADDRESS[family])

    def test_from_the_pod_itself(self, world: World, family: int, client_port: int) -> None:
        with SctpEnd(world.server.place, family) as client, SctpEnd(world.server.place, family) as server:
            _, sender = greet(client, server, NODE_ADDRESS[family], HOST_PORT, client_port)
        assert sender == NODE_ADDRESS[family]

    def test_from_the_node(self, world: World, family: int, client_port: int) -> None:
        with SctpEnd(NODE, family) as client, SctpEnd(world.server.place, family) as server:
            _, sender = greet(client, server, NODE_ADDRESS[family], HOST_PORT, client_port)
        assert sender == NODE_ADDRESS[family]


def test_localhost(world: World, client_port: int) -> None:
    with SctpEnd(NODE, 4) as client, SctpEnd(world.server.place, 4) as server:
        _, sender = greet(client, server, "127.0.0.1", HOST_PORT, client_port)
    assert sender == "127.0.0.1"


@family
def test_from_pod_to_pod(world: World, family: int, client_port: int) -> None:
    with SctpEnd(world.other.place, family) as client, SctpEnd(world.server.place, family) as server:
        to = world.server.addresses[family]
        assert greet(client, server, to, POD_PORT, client_port) == (world.other.addresses[family], to)


@family
def test_to_the_outside_with_the_nodes_address(world: World, family: int, client_port: int) -> None:
    to = OUTSIDE_ADDRESS[family]
    with SctpEnd(world.other.place, family) as client, SctpEnd(OUTSIDE, family, to) as server:
        saw, sender = greet(client, server, to, POD_PORT, client_port)
        assert (saw, sender) == (NODE_ADDRESS[family], to)
