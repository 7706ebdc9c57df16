"""Policy while it changes: flows that are open, packets that fly without pause, address translation on the way.

What both the old and the new policy forbid never passes, what both allow is never lost, and a flow that is forbidden
now stops, whoever of its ends is speaking.
"""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.kernel.test_policy import delete, labelled, policy
from tests.places import NODE_ADDRESS, OUTSIDE, OUTSIDE_ADDRESS, Pod, eventually, make_pods
from tests.prober import NODE, Conversation, Servers, ask, family_of, inside
from tests.running import RunningAgent

pytestmark = [pytest.mark.kernel]

DENY_B = policy("deny-b", "{podSelector: {matchLabels: {app: b}}}")
SILENCE_A = policy("silence-a", "{podSelector: {matchLabels: {app: a}}, policyTypes: [Egress]}")
FLIPS, LONG_ENOUGH_S = 60, 0.25
families = pytest.mark.parametrize("family", [4, 6])
kinds = pytest.mark.parametrize("kind", ["tcp", "udp"])


@pytest.fixture(scope="module")
def pods(agent: RunningAgent) -> Iterator[dict[str, Pod]]:
    made = make_pods(agent, *(labelled(name, app=name) for name in "abc"))
    with Servers() as servers:
        for pod in made:
            servers.listen(pod.place, pod.name, 80)
        servers.listen(NODE, "node", 7000)
        for address in OUTSIDE_ADDRESS.values():
            servers.listen(OUTSIDE, "outside", 7001, address=address)
        yield {pod.name: pod for pod in made}


@families
@kinds
class TestOpenFlows:
    """Asked again and again over one connection: direct, by a host port, masqueraded, towards the node."""

    def test_ingress(self, agent: RunningAgent, pods: dict[str, Pod], family: int, kind: str) -> None:
        with (
            Conversation(pods["a"].place, kind, pods["b"].addresses[family], 80, timeout_s=LONG_ENOUGH_S) as direct,
            Conversation(pods["c"].place, kind, NODE_ADDRESS[family], 8080, timeout_s=LONG_ENOUGH_S) as by_host_port,
            Conversation(OUTSIDE, kind, NODE_ADDRESS[family], 8080, timeout_s=LONG_ENOUGH_S) as from_outside,
            Conversation(pods["b"].place, kind, NODE_ADDRESS[family], 8080, timeout_s=LONG_ENOUGH_S) as itself,
            Conversation(NODE, kind, pods["b"].addresses[family], 80, timeout_s=LONG_ENOUGH_S) as of_node,
            Conversation(pods["b"].place, kind, pods["a"].addresses[family], 80, timeout_s=LONG_ENOUGH_S) as away,
        ):
            forbidden, allowed = (direct, by_host_port, from_outside), (itself, of_node, away)
            assert all(each.ask() for each in (*forbidden, *allowed))
            with applied(agent, DENY_B, "deny-b", lambda: not ask(pods["a"].place, "udp", pods["b"].addresses[family], 80)):
                assert [each.ask() for each in forbidden] == [None] * len(forbidden)
                assert all(each.ask() for each in allowed)

    def test_egress(self, agent: RunningAgent, pods: dict[str, Pod], family: int, kind: str) -> None:
        with (
            Conversation(pods["a"].place, kind, pods["b"].addresses[family], 80, timeout_s=LONG_ENOUGH_S) as direct,
            Conversation(pods["a"].place, kind, NODE_ADDRESS[family], 8080, timeout_s=LONG_ENOUGH_S) as by_host_port,
            Conversation(pods["a"].place, kind, OUTSIDE_ADDRESS[family], 7001, timeout_s=LONG_ENOUGH_S) as masqueraded,
            Conversation(pods["a"].place, kind, NODE_ADDRESS[family], 7000, timeout_s=LONG_ENOUGH_S) as to_node,
            Conversation(NODE, kind, pods["a"].addresses[family], 80, timeout_s=LONG_ENOUGH_S) as of_node,
            Conversation(pods["b"].place, kind, pods["a"].addresses[family], 80, timeout_s=LONG_ENOUGH_S) as towards,
        ):
            forbidden, allowed = (direct, by_host_port, masqueraded, to_node), (of_node, towards)
            assert all(each.ask() for each in (*forbidden, *allowed))
            with applied(agent, SILENCE_A, "silence-a", lambda: not ask(pods["a"].place, "udp", pods["c"].addresses[family], 80)):
                assert [each.ask() for each in forbidden] == [None] * len(forbidden)
                assert all(each.ask() for each in allowed)


@contextmanager
def applied(agent: RunningAgent, manifest: str, name: str, is_in_force) -> Iterator[None]:  # type: ignore[no-untyped-def]
    agent.apply(manifest)
    try:
        eventually(is_in_force)
        yield
    finally:
        delete(agent, name)
        eventually(lambda: not is_in_force())


@families
def test_a_server_that_goes_on_sending_is_stopped_too(agent: RunningAgent, pods: dict[str, Pod], family: int) -> None:
    """It may open flows of its own to the client: only the entry of the old one says that this is none."""
    with pushing(pods["b"], pods["a"], family) as heard:
        eventually(lambda: heard[0])
        with applied(agent, DENY_B, "deny-b", lambda: not ask(pods["c"].place, "udp", pods["b"].addresses[family], 80)):
            before = heard[0]
            time.sleep(2 * LONG_ENOUGH_S)  # several retransmissions
            assert heard[0] == before


@contextmanager
def pushing(server: Pod, client: Pod, family: int) -> Iterator[list[int]]:
    """A connection over which the server sends without being asked; [bytes that arrived]."""
    heard, is_over = [0], threading.Event()
    with inside(server.place):
        listener = socket.create_server((server.addresses[family], 0), family=family_of(server.addresses[family]))
    with inside(client.place):
        reader = socket.socket(family_of(server.addresses[family]))
    reader.settimeout(5)
    reader.connect(listener.getsockname()[:2])
    writer, _ = listener.accept()
    writer.setblocking(False)
    reader.settimeout(0.01)

    def work() -> None:
        while not is_over.wait(0.001):
            for act in (lambda: writer.send(b"x" * 100), lambda: heard.__setitem__(0, heard[0] + len(reader.recv(65536)))):
                try:
                    act()
                except (BlockingIOError, TimeoutError):
                    pass

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield heard
    finally:
        is_over.set()
        thread.join()
        for each in (listener, reader, writer):
            each.close()


def test_udp_between_equal_ports_stops_one_way_only(agent: RunningAgent, pods: dict[str, Pod]) -> None:
    """Both ends open flows there. The one that is still allowed must not suffer from the entry of the other."""
    ends = {name: socket_at(pods[name], 5353) for name in "ab"}
    try:
        tell(ends["a"], pods["b"], b"hello")
        assert hears(ends["b"]) == b"hello"
        with applied(agent, DENY_B, "deny-b", lambda: not ask(pods["c"].place, "udp", pods["b"].addresses[4], 80)):
            numbers = itertools.count()
            eventually(lambda: tell(ends["b"], pods["a"], b"%d" % next(numbers)) or hears(ends["a"]))
    finally:
        for end in ends.values():
            end.close()


def socket_at(pod: Pod, port: int) -> socket.socket:
    with inside(pod.place):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((pod.addresses[4], port))
    made.settimeout(0.2)
    return made


def tell(end: socket.socket, to: Pod, words: bytes) -> None:
    end.sendto(words, (to.addresses[4], 5353))


def hears(end: socket.socket) -> bytes:
    try:
        return end.recv(100)
    except TimeoutError:
        return b""


class Flood:
    """Datagrams without pause from one pod to another; each is counted by its receiver."""

    def __init__(self, source: Pod, destination: Pod, family: int) -> None:
        self.sent = self.arrived = 0
        with inside(destination.place):
            self._end = socket.socket(family_of(destination.addresses[family]), socket.SOCK_DGRAM)
            self._end.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
            self._end.bind((destination.addresses[family], 0))
        with inside(source.place):
            self._start = socket.socket(self._end.family, socket.SOCK_DGRAM)
        self._to = self._end.getsockname()[:2]
        self._end.setblocking(False)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> Flood:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._count()
        self._end.close()
        self._start.close()

    def _send(self) -> None:
        while not self._is_over.is_set():
            for _ in range(50):
                self._start.sendto(b"x", self._to)
            self.sent += 50
            self._count()

    def _count(self) -> None:
        try:
            while self._end.recv(16):
                self.arrived += 1
        except BlockingIOError:
            pass


@families
def test_what_old_and_new_forbid_never_passes(agent: RunningAgent, pods: dict[str, Pod], family: int) -> None:
    """One policy that closes the sender, then the receiver, then the sender: each time the other end opens."""
    flip = [SILENCE_A.replace("silence-a", "flip"), DENY_B.replace("deny-b", "flip")]
    agent.apply(flip[0])
    eventually(lambda: not ask(pods["a"].place, "udp", pods["b"].addresses[family], 80))
    with Flood(pods["a"], pods["b"], family) as forbidden, Flood(pods["c"], pods["a"], family) as allowed:
        for number in range(FLIPS):
            agent.apply(flip[(number + 1) % 2])
            time.sleep(0.005)
    delete(agent, "flip")
    assert forbidden.sent > 1000
    assert forbidden.arrived == 0
    assert allowed.arrived == allowed.sent


@families
def test_what_old_and_new_allow_is_never_lost(agent: RunningAgent, pods: dict[str, Pod], family: int) -> None:
    """Allowed by one policy for what it was, by another for what it becomes; with other pods coming and going in both."""
    for label in "xy":
        spec = f"{{podSelector: {{matchLabels: {{app: b}}}}, ingress: [{{from: [{{podSelector: {{matchLabels: {{kind: {label}}}}}}}]}}]}}"
        agent.apply(policy(f"allow-{label}", spec))
    agent.apply(labelled("c", app="c", kind="x"))
    eventually(
        lambda: (
            ask(pods["c"].place, "udp", pods["b"].addresses[family], 80)
            and not ask(pods["a"].place, "udp", pods["b"].addresses[family], 80)
        )
    )
    with Flood(pods["c"], pods["b"], family) as allowed, Flood(pods["a"], pods["b"], family) as forbidden:
        for number in range(FLIPS):
            agent.apply(labelled("c", app="c", kind="yx"[number % 2]))
            time.sleep(0.005)
    delete(agent, "allow-x", "allow-y")
    agent.apply(labelled("c", app="c"))
    assert allowed.arrived == allowed.sent > 1000
    assert forbidden.arrived == 0
