"""Who reaches whom, with real packets: both modes, both families, TCP and UDP, with br_netfilter on, off and flipped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.prober import NODE, Servers, ask
from tests.running import RunningAgent

pytestmark = pytest.mark.kernel

OUTSIDE = Path(os.environ.get("PODWRIGHT_OUTSIDE", "/nonexistent"))
NODE_ADDRESS = {4: "192.0.2.11", 6: "2001:db8::11"}
OUTSIDE_ADDRESS = {4: "198.51.100.1", 6: "2001:db8:1::1"}
HOST_PORT = {"a": 8081, "b": 8082}

PODS = "\n---\n".join(
    f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  containers:
  - name: web
    image: example/web:1
    ports:
    - {{containerPort: 80, hostPort: {port}, protocol: TCP}}
    - {{containerPort: 80, hostPort: {port}, protocol: UDP}}
"""
    for name, port in HOST_PORT.items()
)


@dataclass(frozen=True)
class Pod:
    name: str
    place: Path
    addresses: dict[int, str]


@dataclass(frozen=True)
class World:
    a: Pod
    b: Pod
    mode: str


@pytest.fixture(scope="module")
def world(agent: RunningAgent, mode: str) -> Iterator[World]:
    agent.apply(PODS)
    found = {}
    for pod in agent.wait_for_pods(2):
        addresses = {6 if ":" in entry["ip"] else 4: entry["ip"] for entry in pod["status"]["podIPs"]}
        found[pod["metadata"]["name"]] = Pod(pod["metadata"]["name"], agent.namespace_of(pod), addresses)
    with Servers() as servers:
        for pod in found.values():
            servers.listen(pod.place, pod.name, 80)
        servers.listen(NODE, "node", 7000)
        for address in OUTSIDE_ADDRESS.values():
            servers.listen(OUTSIDE, "outside", 7001, address=address)
        yield World(found["a"], found["b"], mode)


def set_bridge_netfilter(value: str) -> None:
    for table in ("ip", "ip6"):
        Path(f"/proc/sys/net/bridge/bridge-nf-call-{table}tables").write_text(value)


@pytest.fixture(params=["0", "1", "flip"])
def bridge_netfilter(request: pytest.FixtureRequest, world: World) -> Iterator[None]:
    """`flip`: connections start at 1 and go on at 0."""
    if not Path("/proc/sys/net/bridge").exists():
        pytest.skip("needs a kernel with br_netfilter")
    if world.mode == "routed" and request.param == "flip":
        pytest.skip("routed mode has no bridge: 0 and 1 cover it")
    set_bridge_netfilter("0" if request.param == "0" else "1")
    yield
    set_bridge_netfilter("1")


family = pytest.mark.parametrize("family", [4, 6])
kind = pytest.mark.parametrize("kind", ["tcp", "udp"])


@family
@kind
@pytest.mark.usefixtures("bridge_netfilter")
class TestReach:
    def test_pod_to_pod_with_its_own_address(self, world, family, kind):
        answer = ask(world.a.place, kind, world.b.addresses[family], 80)
        assert answer is not None
        assert (answer.name, answer.saw) == ("b", world.a.addresses[family])

    def test_node_to_pod(self, world, family, kind):
        answer = ask(NODE, kind, world.a.addresses[family], 80)
        assert answer is not None
        assert answer.name == "a"

    def test_pod_to_the_nodes_address(self, world, family, kind):
        answer = ask(world.a.place, kind, NODE_ADDRESS[family], 7000)
        assert answer is not None
        assert (answer.name, answer.saw, answer.sender) == ("node", world.a.addresses[family], NODE_ADDRESS[family])

    def test_pod_to_outside_leaves_with_the_nodes_address(self, world, family, kind):
        answer = ask(world.a.place, kind, OUTSIDE_ADDRESS[family], 7001)
        assert answer is not None
        assert (answer.name, answer.saw) == ("outside", NODE_ADDRESS[family])

    def test_outside_to_a_host_port_shows_the_client(self, world, family, kind):
        answer = ask(OUTSIDE, kind, NODE_ADDRESS[family], HOST_PORT["a"])
        assert answer is not None
        assert (answer.name, answer.sender) == ("a", NODE_ADDRESS[family])
        assert answer.saw not in world.b.addresses.values()

    def test_node_to_its_own_host_port(self, world, family, kind):
        answer = ask(NODE, kind, NODE_ADDRESS[family], HOST_PORT["a"])
        assert answer is not None
        assert answer.name == "a"

    def test_pod_to_a_host_port_of_another_pod(self, world, family, kind):
        answer = ask(world.a.place, kind, NODE_ADDRESS[family], HOST_PORT["b"])
        assert answer is not None
        assert (answer.name, answer.saw, answer.sender) == ("b", world.a.addresses[family], NODE_ADDRESS[family])

    def test_pod_to_its_own_host_port(self, world, family, kind):
        answer = ask(world.a.place, kind, NODE_ADDRESS[family], HOST_PORT["a"])
        assert answer is not None
        assert (answer.name, answer.sender) == ("a", NODE_ADDRESS[family])


@kind
def test_localhost_host_port_ipv4(world, kind):
    answer = ask(NODE, kind, "127.0.0.1", HOST_PORT["a"])
    assert answer is not None
    assert answer.name == "a"


@family
def test_a_pods_loopback_is_its_own(world, family):
    here = {4: "127.0.0.1", 6: "::1"}[family]
    answer = ask(world.a.place, "tcp", here, 80)
    assert answer is not None
    assert answer.name == "a"


def test_a_pod_cannot_reach_the_nodes_loopback_through_its_gateway(world):
    """route_localnet is on for pod devices, so 127/8 that comes from a pod must be dropped by us."""
    with Servers() as servers:
        servers.listen(NODE, "node-loopback", 7002, address="127.0.0.1")
        assert ask(NODE, "tcp", "127.0.0.1", 7002) is not None
        assert ask(world.a.place, "tcp", "127.0.0.1", 7002) is None
