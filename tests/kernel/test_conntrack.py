"""What the node remembers of a host port must not outlive the truth: clients that send before, between and after its pods."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path

import pytest

from agent.kernel import conntrack
from agent.objects.attachment import Protocol
from agent.objects.meta import IPAddress
from tests.packets import INIT, Sctp, SctpEnd
from tests.places import NODE_ADDRESS, OUTSIDE, OUTSIDE_ADDRESS, Pod, delete_pods, make_pods, manifest
from tests.prober import NODE, Servers, family_of, inside
from tests.running import RunningAgent

pytestmark = pytest.mark.kernel

HOST_PORT = 8090
WAYS = {
    "outside-4": (OUTSIDE, NODE_ADDRESS[4]),
    "outside-6": (OUTSIDE, NODE_ADDRESS[6]),
    "node-4": (NODE, NODE_ADDRESS[4]),
    "node-6": (NODE, NODE_ADDRESS[6]),
    "localhost": (NODE, "127.0.0.1"),
}


@contextmanager
def restless_client(place: Path, address: str) -> Iterator[socket.socket]:
    """Datagrams from one port to the host port, all the time."""
    stop = threading.Event()

    def send() -> None:
        while not stop.wait(0.001):
            with suppress(OSError):  # an ICMP error for an earlier one
                client.send(b"?")

    with inside(place):
        client = socket.socket(family_of(address), socket.SOCK_DGRAM)
    with client:
        client.settimeout(0.1)
        client.connect((address, HOST_PORT))
        sender = threading.Thread(target=send)
        sender.start()
        try:
            yield client
        finally:
            stop.set()
            sender.join()


def is_answered(client: socket.socket, name: str) -> bool:
    """Within a second: an entry that leads elsewhere would live for as long as the client sends."""
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        with suppress(OSError):
            if client.recv(256).startswith(name.encode()):
                return True
    return False


def pod_with_port(agent: RunningAgent, name: str, protocol: str) -> Pod:
    return make_pods(agent, manifest(name, f"containerPort: 80, hostPort: {HOST_PORT}, protocol: {protocol}"))[0]


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_never_stops_reaches_the_pod_of_the_day(agent: RunningAgent, way: str) -> None:
    with restless_client(*WAYS[way]) as client, Servers() as servers:
        for name in ("first", "second"):
            pod = pod_with_port(agent, name, "UDP")
            servers.listen(pod.place, name, 80)
            assert is_answered(client, name)
            delete_pods(agent, name)


@pytest.mark.parametrize("family", [4, 6])
def test_a_repeated_sctp_init_reaches_the_pod_that_came_later(agent: RunningAgent, family: int) -> None:
    with SctpEnd(OUTSIDE, family) as client:
        init = Sctp(40000, HOST_PORT, INIT, tag=1)
        client.send(init, NODE_ADDRESS[family])
        with SctpEnd(pod_with_port(agent, "late", "SCTP").place, family) as server:
            client.send(init, NODE_ADDRESS[family])
            assert server.receive(INIT)[0].destination_port == 80
        delete_pods(agent, "late")


@pytest.mark.needs("/proc/net/nf_conntrack")
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.usefixtures("agent")
def test_only_flows_to_the_port_and_the_addresses_are_forgotten(family: int) -> None:
    """A resolver's port on the node must not cost pods the answers of resolvers elsewhere."""
    local, far, port = NODE_ADDRESS[family], OUTSIDE_ADDRESS[family], 5353
    with socket.socket(family_of(local), socket.SOCK_DGRAM) as client:
        for to in ((local, port), (local, port + 1), (far, port)):
            client.sendto(b"?", to)
        mine = client.getsockname()[1]
        conntrack.flush_port(Protocol.UDP, port, lambda address: address == ip_address(local))
        assert flows_from(mine) == {(ip_address(local), port + 1), (ip_address(far), port)}


def flows_from(source_port: int) -> set[tuple[IPAddress, int]]:
    """(address, port) that datagrams of this port are remembered to have been sent to."""
    entries = [line.split() for line in Path("/proc/net/nf_conntrack").read_text().splitlines() if " udp " in line]
    originals = [dict(word.split("=") for word in reversed(words) if "=" in word) for words in entries]
    return {(ip_address(flow["dst"]), int(flow["dport"])) for flow in originals if flow["sport"] == str(source_port)}
