"""A node with an agent that gets killed, two bystander pods, and traffic through them that must not notice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.errors import NotFound
from tests.chaos.invariants import Node, watched, within
from tests.chaos.nursery import ForkedAgent, Nursery
from tests.chaos.traffic import Traffic, Way
from tests.prober import NODE, Servers, ask
from tests.running import is_sandboxed

OUTSIDE = Path(os.environ.get("PODWRIGHT_OUTSIDE", "/nonexistent"))
NODE_ADDRESSES = ("192.0.2.11", "2001:db8::11")
TIME_WAIT = Path("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_time_wait")
PORT = 80
BYSTANDERS = {"a": 8081, "b": 8082}
PODS = "/api/v1/namespaces/default/pods"


def manifest(name: str, host_port: int) -> str:
    ports = ", ".join(f"{{containerPort: {PORT}, hostPort: {host_port}, protocol: {protocol}}}" for protocol in ("TCP", "UDP"))
    containers = f"[{{name: web, image: 'example/web:1', ports: [{ports}]}}]"
    return f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: {containers}}}\n"


@dataclass
class Stage:
    """`gate`: kill points count while it exists; `points`: what they are written down in."""

    agent: ForkedAgent
    node: Node
    gate: Path
    points: Path

    @property
    def mode(self) -> str:
        return self.node.config.network.mode.value

    def start_armed(self, kill_at: int, *, wait: bool = True, gated: bool = True) -> None:
        """An agent that dies at its `kill_at`th point (0: only counts them)."""
        self.points.unlink(missing_ok=True)
        self.agent.start(self.trap(kill_at, gated=gated), wait=wait)

    def trap(self, kill_at: int, *, gated: bool) -> dict[str, str]:
        trap = {"PODWRIGHT_KILL_AT": str(kill_at), "PODWRIGHT_KILL_LOG": str(self.points)}
        return {**trap, "PODWRIGHT_KILL_GATE": str(self.gate)} if gated else trap

    @contextmanager
    def gate_open(self) -> Iterator[None]:
        self.gate.touch()
        try:
            yield
        finally:
            self.gate.unlink()

    def passed(self) -> list[str]:
        """The points passed so far, as "NUMBER NAME"; several threads may have written them out of order."""
        lines = self.points.read_text(encoding="utf-8").splitlines() if self.points.exists() else []
        return sorted(lines, key=lambda line: int(line.partition(" ")[0]))

    def point(self, number: int) -> str:
        return next((line for line in self.passed() if line.startswith(f"{number} ")), f"{number} (not reached)")

    def until_dead(self, seconds: float) -> bool:
        return within(seconds, lambda: not self.agent.is_running())

    def pod(self, name: str) -> dict[str, Any] | None:
        with suppress(NotFound):
            return self.agent.client.get(f"{PODS}/{name}")
        return None

    def make_pod(self, name: str, host_port: int) -> dict[str, Any]:
        """Apply it and wait until its sandbox stands; raises Unavailable when the agent dies over it."""
        self.agent.apply(manifest(name, host_port))
        found: dict[str, Any] = {}

        def stands() -> bool:
            found.update(self.pod(name) or {})
            return is_sandboxed(found)

        assert within(10, stands), f"{found.get('status')}\n{self.agent.tail()}"
        return found

    def delete_pod(self, name: str) -> None:
        """And wait until it is gone; absence is success."""
        with suppress(NotFound):
            self.agent.client.delete(f"{PODS}/{name}")
        assert within(10, lambda: self.pod(name) is None), f"{self.pod(name)}\n{self.agent.tail()}"

    def place(self, pod: dict[str, Any]) -> Path:
        return self.agent.namespace_of(pod)


def addresses(pod: dict[str, Any]) -> tuple[str, ...]:
    return tuple(entry["ip"] for entry in pod["status"]["podIPs"])


def unanswered(place: Path, own: tuple[str, ...], host_port: int) -> list[str]:
    """Ways to a pod that do not work, tried with a server of our own in it: from the node, and from outside by the host port."""
    ways = [(NODE, address, PORT) for address in own] + [(OUTSIDE, address, host_port) for address in NODE_ADDRESSES]
    with Servers() as servers:
        servers.listen(place, "asked", PORT)
        asked = [(way, kind) for way in ways for kind in ("tcp", "udp")]
        return [f"no answer from {way[1]} port {way[2]} over {kind}" for way, kind in asked if ask(way[0], kind, *way[1:]) is None]


@contextmanager
def empty(nursery: Nursery, directory: Path, mode: str) -> Iterator[Stage]:
    """A node without an agent yet; at the end everything is taken down."""
    agent = ForkedAgent(nursery, directory, network__mode=mode)
    with watched(agent.settings) as node:
        yield Stage(agent, node, directory / "gate", directory / "points")
        agent.clear()


@contextmanager
def with_bystanders(nursery: Nursery, directory: Path, mode: str) -> Iterator[tuple[Stage, Traffic]]:
    """The agent runs, and so does the traffic: node to pod, pod to pod, outside to host port."""
    with ExitStack() as stack:
        stack.enter_context(_short_memory())
        stage = stack.enter_context(empty(nursery, directory, mode))
        stage.agent.start()
        pods = {name: stage.make_pod(name, host_port) for name, host_port in BYSTANDERS.items()}
        servers = stack.enter_context(Servers())
        for name, pod in pods.items():
            servers.listen(stage.place(pod), name, PORT)
        yield stage, stack.enter_context(Traffic(_ways(stage, pods["a"], pods["b"])))


@contextmanager
def _short_memory() -> Iterator[None]:
    """Closed connections are tracked for two minutes: at 200 a second, every list of them would be long."""
    before = TIME_WAIT.read_text(encoding="ascii")
    TIME_WAIT.write_text("2", encoding="ascii")
    try:
        yield
    finally:
        TIME_WAIT.write_text(before, encoding="ascii")


def _ways(stage: Stage, a: dict[str, Any], b: dict[str, Any]) -> list[Way]:
    ways = [Way(f"node to a ({address})", NODE, address, PORT) for address in addresses(a)]
    ways += [Way(f"a to b ({address})", stage.place(a), address, PORT) for address in addresses(b)]
    return ways + [Way(f"outside to a's host port at {address}", OUTSIDE, address, BYSTANDERS["a"]) for address in NODE_ADDRESSES]
