"""A pod's link: a MAC that follows from its address, an address that works at once, and nobody who asks for either."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.packets import Tap, Wire, ping
from tests.places import NODE_ADDRESS, OUTSIDE, OUTSIDE_ADDRESS, Pod, delete_pods, eventually, make_pods, manifest, run
from tests.prober import NODE, Conversation, Servers, ask
from tests.running import RunningAgent

pytestmark = pytest.mark.kernel

HOST_PORT = 8088
ARP, IPV6, ICMPV6 = 0x0806, 0x86DD, 58
DISCOVERY = {133: "router solicitation", 134: "router advertisement", 135: "solicitation", 136: "advertisement", 137: "redirect"}


@pytest.fixture
def pods(agent: RunningAgent) -> Iterator[list[Pod]]:
    yield make_pods(agent, manifest("a", f"containerPort: 80, hostPort: {HOST_PORT}"), manifest("b"))
    delete_pods(agent, "a", "b")


def test_a_pods_mac_is_its_ipv4_address(pods: list[Pod]) -> None:
    for pod in pods:
        with Wire(pod.place, "eth0") as wire:
            assert wire.mac == "0a:58:" + pod.address(4).packed.hex(":")


def test_both_addresses_work_when_the_agent_says_ready(pods: list[Pod]) -> None:
    """Nobody waits for duplicate address detection: it would take a second."""
    a, b = pods
    assert all(ping(place, pod.addresses[family], 0.3) for family in (6, 4) for pod, place in ((a, NODE), (b, a.place)))


def test_nobody_asks_who_has_an_address(agent: RunningAgent, request: pytest.FixtureRequest) -> None:
    """From the pods' birth on, with traffic of every kind: each end has the other as a permanent neighbour."""
    with Tap(NODE) as tap, Servers() as servers:
        a, b = request.getfixturevalue("pods")
        for pod in (a, b):
            servers.listen(pod.place, pod.name, 80)
        servers.listen(NODE, "node", 7000)
        for address in OUTSIDE_ADDRESS.values():
            servers.listen(OUTSIDE, "outside", 7001, address=address)
        for family in (4, 6):
            assert ask(a.place, "tcp", b.addresses[family], 80)
            assert ask(b.place, "udp", NODE_ADDRESS[family], 7000)
            assert ask(b.place, "udp", OUTSIDE_ADDRESS[family], 7001)
            assert ask(NODE, "tcp", b.addresses[family], 80)
            assert ask(OUTSIDE, "tcp", NODE_ADDRESS[family], HOST_PORT)
        eventually(lambda: not any(run(pod.place, "ip -6 address show tentative") for pod in (a, b)))
        asked = questions(tap)
    assert len(asked) > 50
    assert [(link, what) for link, what in asked if what] == []


def questions(tap: Tap) -> list[tuple[str, str]]:
    return [(link, question(frame)) for link, frame in tap.seen() if link.startswith(("pw0", "pwv"))]


def question(frame: bytes) -> str:
    """What a frame asks or tells of addresses; empty for any other."""
    kind = int.from_bytes(frame[12:14], "big")
    if kind == ARP:
        return "ARP"
    return DISCOVERY.get(frame[54], "") if kind == IPV6 and frame[20] == ICMPV6 else ""


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("place", ["node", "pod"])
def test_an_address_that_no_pod_has_is_unreachable_at_once(pods: list[Pod], family: int, place: str) -> None:
    """Asking all pods for it would let anybody who tries addresses fill the node's neighbour table."""
    nobody = {4: "10.73.15.254", 6: "fd73:7077:7269::1:2:3"}[family]
    where = NODE if place == "node" else pods[0].place
    with Tap(NODE) as tap:
        with Conversation(where, "udp", nobody, 9) as client, pytest.raises(OSError, match=r"No route|unreachable"):
            client.demand()
        assert [(link, what) for link, what in questions(tap) if what] == []
