"""Reference plugins behind ours in one list: tuning, firewall and portmap do their work on the pod's interface as on any other."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cni.conflist import install
from tests.chaos.invariants import Node, watched
from tests.places import NODE_ADDRESS, OUTSIDE
from tests.prober import Servers, ask
from tests.running import RunningAgent
from tests.runtime import chain, go_tools
from tests.runtime.chain import DEBIAN, Call, Chain, Config
from tests.runtime.network_namespace import NetworkNamespace

pytestmark = [pytest.mark.kernel, pytest.mark.needs("/usr/lib/cni/portmap", "/usr/sbin/xtables-nft-multi", "nft")]
HOST_PORT, PORT = 8110, 80
TUNED = "net.core.somaxconn"


@dataclass
class Neighbours:
    chain: Chain
    first: Chain
    """Ours alone."""
    checked: Chain
    """What can be asked for CHECK: portmap 1.1.1 looks for the IPv4 rule among IPv6's, and fails."""
    node: Node

    def heard(self, pod: NetworkNamespace) -> list[str]:
        """Who answers at the host port, from outside over both families."""
        with Servers() as servers:
            servers.listen(pod.path, "pod", PORT)
            answers = [ask(OUTSIDE, "tcp", address, HOST_PORT, timeout_s=2) for address in NODE_ADDRESS.values()]
        return [answered.name if answered else "nobody" for answered in answers]


def plugins(backend: str) -> list[Config]:
    portmap: Config = {"type": "portmap", "capabilities": {"portMappings": True}}
    return [
        {"type": "podwright"},
        {"type": "tuning", "sysctl": {TUNED: "77"}, "mtu": 1400},
        {"type": "firewall"},
        {**portmap, "backend": backend} if backend == "nftables" else portmap,
    ]


@pytest.fixture(params=["Debian's", go_tools.PLUGINS_VERSION])
def neighbours(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Neighbours]:
    is_newer = request.param == go_tools.PLUGINS_VERSION
    try:
        directory = go_tools.plugins() if is_newer else DEBIAN
    except RuntimeError as error:
        pytest.skip(f"reference plugins {request.param} are missing: {error}")
    backend = "nftables" if is_newer else "iptables"
    with ExitStack() as stack:
        stack.callback(drop_tables_but, tables())
        agent = RunningAgent(tmp_path).start()
        stack.callback(agent.clear)
        install(tmp_path / "net.d", tmp_path / "ours", socket=agent.socket_path, spool=agent.state_dir / "spool")
        path = chain.iptables_path("nft", tmp_path / "bin")
        settings: dict[str, Any] = {"also": [directory], "path": path}
        listed = plugins(backend)
        chains = [Chain("listed", tmp_path / "ours", part, **settings) for part in (listed, listed[:1], listed if is_newer else listed[:3])]
        yield Neighbours(*chains, stack.enter_context(watched(agent.settings)))


def tables() -> set[str]:
    return set(subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout.splitlines())


def drop_tables_but(kept: set[str]) -> None:
    """iptables and portmap leave theirs for good."""
    for table in tables() - kept:
        subprocess.run(["nft", "delete", *table.split()], check=True)


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[NetworkNamespace]:
    with NetworkNamespace.made(tmp_path / "pod") as made:
        yield made


def test_a_list_with_neighbours(neighbours: Neighbours, pod: NetworkNamespace) -> None:
    """Our result passes unchanged, their work is done, and after DEL neither side holds anything."""
    call = Call("c1", pod.path, {"portMappings": [{"hostPort": HOST_PORT, "containerPort": PORT, "protocol": "tcp"}]})
    result = neighbours.chain.add(call)
    neighbours.checked.check(call, result)
    assert {entry["address"].partition("/")[0] for entry in result["ips"]} == pod.addresses("eth0")
    assert pod.run("sysctl", "-n", TUNED) == "77\n"
    assert neighbours.heard(pod) == ["pod", "pod"]
    for address in NODE_ADDRESS.values():
        pod.ping(address)
    neighbours.chain.delete(call, result)
    assert neighbours.heard(pod) == ["nobody", "nobody"]
    assert pod.links() == {"lo"}
    assert neighbours.node.settled() == []


def test_a_neighbour_that_fails_is_undone_as_the_runtime_asks(neighbours: Neighbours, pod: NetworkNamespace) -> None:
    """A runtime sends DEL down the whole list after an ADD that got half way, with no result."""
    call = Call("c1", pod.path, {"portMappings": [{"hostPort": -1, "containerPort": PORT, "protocol": "tcp"}]})
    with pytest.raises(chain.Refused, match="portmap"):
        neighbours.chain.add(call)
    assert pod.links() == {"lo", "eth0"}
    neighbours.first.delete(call)
    assert pod.links() == {"lo"}
    assert neighbours.node.settled() == []
