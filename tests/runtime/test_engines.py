"""containerd and podman, real ones, run pods through the installed binary: what they get is a pod's network, and nothing is left."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.objects.attachment import AttachmentKey
from cni.conflist import install
from tests.chaos.invariants import Node, watched
from tests.places import NODE_ADDRESS, OUTSIDE, eventually
from tests.running import RunningAgent
from tests.runtime.engine import ASK, IFNAME, NETWORK, PORT, CommandFailed, Engine, RunPod, command

pytestmark = pytest.mark.kernel


def containerd(directory: Path, conf_dir: Path, bin_dir: Path) -> AbstractContextManager[Engine]:
    pytest.importorskip("grpc_tools", reason="needs the Python package grpcio-tools, to speak CRI")
    from tests.runtime import containerd as engine

    return engine.started(directory, conf_dir, bin_dir)


def podman(directory: Path, conf_dir: Path, bin_dir: Path) -> AbstractContextManager[Engine]:
    from tests.runtime import podman as engine

    return engine.started(directory, conf_dir, bin_dir)


CONTAINERD = pytest.mark.needs("containerd", "ctr", "runc", "/bin/busybox", "/usr/lib/cni/loopback")
PODMAN = pytest.mark.needs("podman", "conmon", "runc", "/bin/busybox")
WORLDS = [
    pytest.param((containerd, "bridge"), marks=CONTAINERD, id="containerd-bridge"),
    pytest.param((podman, "routed"), marks=PODMAN, id="podman-routed"),
    pytest.param((containerd, "routed"), marks=[CONTAINERD, pytest.mark.long], id="containerd-routed"),
    pytest.param((podman, "bridge"), marks=[PODMAN, pytest.mark.long], id="podman-bridge"),
]


@dataclass
class World:
    agent: RunningAgent
    node: Node
    engine: Engine
    knows_namespaces: bool

    def keys(self, *pods: RunPod) -> list[AttachmentKey]:
        return [AttachmentKey(NETWORK, pod.id, IFNAME) for pod in pods]

    def asks(self, pod: RunPod, address: str, port: int = PORT) -> str:
        """Who answers a pod, by name."""
        return name_in(self.engine.execute(pod, "sh", "-c", ASK.format(address=address, port=port)))


def serves(world: World, pod: RunPod) -> bool:
    """Its program has come as far as listening."""
    try:
        return world.asks(pod, "127.0.0.1") == pod.name
    except CommandFailed:
        return False


def name_in(answer: str) -> str:
    return answer.rsplit(maxsplit=1)[-1]


def node_asks(address: str, port: int = PORT) -> str:
    return name_in(command(["sh", "-c", ASK.format(address=address, port=port)]))


def outside_asks(address: str, port: int = PORT) -> str:
    return name_in(command(["nsenter", f"--net={OUTSIDE}", "sh", "-c", ASK.format(address=address, port=port)]))


@pytest.fixture(scope="module", params=WORLDS)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    start, mode = request.param
    directory = tmp_path_factory.mktemp("engine")
    with ExitStack() as stack:
        agent = RunningAgent(directory, network__mode=mode).start()
        stack.callback(agent.clear)
        install(directory / "net.d", directory / "bin", socket=agent.socket_path, spool=agent.state_dir / "spool", name=NETWORK)
        engine = stack.enter_context(start(directory, directory / "net.d", directory / "bin"))
        yield World(agent, stack.enter_context(watched(agent.settings)), engine, start is containerd)


@pytest.fixture
def pods(world: World) -> Iterator[tuple[RunPod, RunPod]]:
    """Two pods, the second with a host port; afterwards they are removed, and store and kernel know nothing of them."""
    a, b = (world.engine.run(name, namespace="shop", host_port=port) for name, port in (("a", 0), ("b", 8090)))
    for pod in (a, b):
        eventually(lambda: serves(world, pod))  # noqa: B023 - called at once
    yield a, b
    for pod in (a, b):
        world.engine.remove(pod)
    assert world.node.settled() == []


def test_everybody_reaches_everybody(world: World, pods: tuple[RunPod, RunPod]) -> None:
    a, b = pods
    assert world.node.settled(world.keys(a, b)) == []
    assert {len(pod.addresses) for pod in pods} == {2}
    for asking, asked in itertools.permutations(pods):
        assert [world.asks(asking, address) for address in asked.addresses] == [asked.name] * 2
    assert [node_asks(address) for address in (*a.addresses, *b.addresses)] == ["a", "a", "b", "b"]


def test_the_host_port_answers_from_everywhere(world: World, pods: tuple[RunPod, RunPod]) -> None:
    a, b = pods
    for address in NODE_ADDRESS.values():
        assert [outside_asks(address, 8090), node_asks(address, 8090)] == ["b", "b"]
        assert [world.asks(each, address, 8090) for each in (a, b)] == ["b", "b"]


def test_pods_outlive_the_agent_and_can_be_removed_without_it(world: World, pods: tuple[RunPod, RunPod]) -> None:
    """The runtime notices nothing: what it deletes is deleted when the agent is back."""
    a, b = pods
    c = world.engine.run("c")
    world.agent.kill()
    assert world.asks(a, b.addresses[0]) == "b"
    world.engine.remove(c)
    world.agent.start()
    assert world.node.settled(world.keys(a, b)) == []
    assert world.asks(b, a.addresses[1]) == "a"


def test_the_agent_shows_them_as_pods(world: World, pods: tuple[RunPod, RunPod]) -> None:
    """By the namespace and name that the runtime says; podman knows no namespaces, so there only addresses tell."""
    listed = world.agent.cli("get", "pods", "-A", "-o", "wide").splitlines()
    shown = [line.split() for pod in pods for line in listed if ",".join(pod.addresses) in line]
    assert len(shown) == len(pods)
    if world.knows_namespaces:
        assert [row[:2] for row in shown] == [["shop", "a"], ["shop", "b"]]
