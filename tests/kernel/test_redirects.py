"""Redirects: a node that forwards between pods of one link would send them, and a pod that obeys goes dark."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address

import pytest

from tests import frames
from tests.packets import Tap, Wire, ping
from tests.places import NODE_ADDRESS, Pod, gateway_mac, make_pods, manifest, run
from tests.prober import NODE, Conversation, Servers
from tests.running import RunningAgent

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("bridge_netfilter")]

HOST_PORT, ROUNDS = 8089, 50
ICMP, REDIRECT = 1, {4: 5, 6: 137}
BRIDGES_LINK_LOCAL = "fe80::b"


@pytest.fixture(scope="module")
def pods(agent: RunningAgent) -> Iterator[list[Pod]]:
    made = make_pods(agent, manifest("a"), manifest("b", f"containerPort: 80, hostPort: {HOST_PORT}, protocol: UDP"))
    with Servers() as servers:
        for pod in made:
            servers.listen(pod.place, pod.name, 80, kinds=("udp",))
        yield made


@contextmanager
def link_local_address_on_the_bridge(mode: str) -> Iterator[None]:
    """It has none of its own; with one, the kernel sends a redirect after the first packet."""
    if mode == "bridge":
        run(NODE, f"ip address add {BRIDGES_LINK_LOCAL}/64 dev pw0 nodad")
    yield
    if mode == "bridge":
        run(NODE, f"ip address del {BRIDGES_LINK_LOCAL}/64 dev pw0")


def test_pods_that_talk_to_each_other_are_not_redirected(pods: list[Pod], mode: str) -> None:
    a, b = pods
    ways = [(b.addresses[family], 80) for family in (4, 6)] + [(NODE_ADDRESS[family], HOST_PORT) for family in (4, 6)]
    with link_local_address_on_the_bridge(mode), ExitStack() as stack:
        flows = [stack.enter_context(Conversation(a.place, "udp", *way)) for way in ways]
        tap = stack.enter_context(Tap(NODE))
        before = what_it_knows(a)
        for flow in flows * ROUNDS:
            assert flow.ask() is not None
        assert [link for link, frame in tap.seen() if is_redirect(frame)] == []
    assert what_it_knows(a) == before


def test_a_pod_that_is_redirected_does_not_obey(pods: list[Pod]) -> None:
    """By a frame that comes from the node itself, past all its rules, in the gateway's name."""
    a, b = pods
    before = what_it_knows(a)
    with Wire(NODE, a.host_link) as link:
        for redirect in forged_redirects(a, b):
            link.send(frames.packet(a.mac, gateway_mac(a), redirect))
        assert ping(NODE, a.addresses[4]), "and what was sent before has been heard"
    assert what_it_knows(a) == before


def forged_redirects(a: Pod, b: Pod) -> Iterator[bytes]:
    for gateway in ("fe80::1", "fd73:7077:7269::1"):
        yield frames.neighbour(137, ip_address(gateway), a.address(6), b.address(6), b.address(6).packed + lladdr_option(b))
    asked = frames.udp(a.address(4), b.address(4), 80, b"?")
    for gateway in ("169.254.1.1", "10.73.0.1"):
        message = struct.pack(">BBH", REDIRECT[4], 1, 0) + b.address(4).packed + asked
        message = message[:2] + struct.pack(">H", frames.checksum(message)) + message[4:]
        yield frames.ip(ip_address(gateway), a.address(4), ICMP, message)


def lladdr_option(pod: Pod) -> bytes:
    return b"\x02\x01" + frames.mac(pod.mac)


def what_it_knows(pod: Pod) -> str:
    """Neighbours, and the ways that differ from the routes."""
    return run(pod.place, "ip neighbour show nud all; ip -4 route show cache; ip -6 route show cache")


def is_redirect(frame: bytes) -> bool:
    kind = int.from_bytes(frame[12:14], "big")
    if kind == 0x0800:
        return frame[23] == ICMP and frame[14 + 4 * (frame[14] & 15)] == REDIRECT[4]
    return kind == 0x86DD and frame[20] == frames.ICMPV6 and frame[54] == REDIRECT[6]
