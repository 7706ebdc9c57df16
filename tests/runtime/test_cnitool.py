"""cnitool, the specification's own runtime, calls the installed binary of an agent that runs: every verb, on real namespaces."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cni.conflist import install
from tests.running import RunningAgent
from tests.runtime.network_namespace import NetworkNamespace

pytestmark = pytest.mark.kernel

VERSIONS = ["0.4.0", "1.0.0", "1.1.0"]


class Cnitool:
    """`version` is the only one that the configuration offers."""

    def __init__(self, tool: Path, folder: Path, agent: RunningAgent) -> None:
        self._tool, self._folder = tool, folder
        install(folder / "net.d", folder / "bin", socket=agent.socket_path, spool=agent.state_dir / "spool")

    def offer(self, version: str) -> None:
        listed = self._folder / "net.d" / "10-podwright.conflist"
        listed.write_text(json.dumps({**json.loads(listed.read_text()), "cniVersion": version, "cniVersions": [version]}))

    def __call__(self, verb: str, namespace: NetworkNamespace, *, check: bool = True, **capabilities: Any) -> Any:
        environment = {
            **os.environ,
            "NETCONFPATH": str(self._folder / "net.d"),
            "CNI_PATH": str(self._folder / "bin"),
            "CNI_IFNAME": "eth0",
            "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web",
            "CAP_ARGS": json.dumps(capabilities),
        }
        done = subprocess.run(
            [self._tool, verb, "podwright", namespace.path], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode == 0) == check, f"cnitool {verb}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout + done.stderr


@pytest.fixture(scope="module", params=["bridge", "routed"])
def agent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    running = RunningAgent(tmp_path_factory.mktemp("agent"), network__mode=request.param)
    running.start()
    yield running
    running.clear()


@pytest.fixture
def run(cnitool: Path, tmp_path: Path, agent: RunningAgent, pod: NetworkNamespace) -> Iterator[Cnitool]:
    tool = Cnitool(cnitool, tmp_path, agent)
    yield tool
    tool("del", pod)  # as a runtime does whatever happened before; the tests' own DELs make it the second one


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[NetworkNamespace]:
    with NetworkNamespace.made(tmp_path / "pod") as made:
        yield made


def node_addresses() -> list[str]:
    listed = subprocess.run(["ip", "-j", "address", "show", "dev", "uplink", "scope", "global"], capture_output=True, text=True, check=True)
    return [address["local"] for link in json.loads(listed.stdout) for address in link["addr_info"] if address]


def host_links() -> set[str]:
    listed = subprocess.run(["ip", "-j", "link", "show", "type", "veth"], capture_output=True, text=True, check=True)
    return {link["ifname"] for link in json.loads(listed.stdout)}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_life(run: Cnitool, pod: NetworkNamespace, version: str) -> None:
    before = host_links()
    run.offer(version)
    result = run("add", pod)
    assert result["cniVersion"] == version
    told = {ip["address"].partition("/")[0] for ip in result["ips"]}
    assert told == pod.addresses("eth0")
    for address in node_addresses():
        pod.ping(address)
    run("check", pod)
    run("del", pod)
    assert pod.links() == {"lo"}
    assert host_links() == before


def test_del_twice_and_without_an_add(run: Cnitool, pod: NetworkNamespace) -> None:
    run("del", pod)
    run("add", pod)
    run("del", pod)
    run("del", pod)


def test_del_after_the_namespace_has_gone(run: Cnitool, pod: NetworkNamespace) -> None:
    before = host_links()
    run("add", pod)
    pod.delete()
    run("del", pod)
    assert host_links() == before


def test_add_twice_is_an_error_and_leaves_the_first_alone(run: Cnitool, pod: NetworkNamespace) -> None:
    run("add", pod)
    addresses = pod.addresses("eth0")
    assert "eth0" in run("add", pod, check=False)
    assert pod.addresses("eth0") == addresses
    run("del", pod)


def test_check_sees_a_missing_address(run: Cnitool, pod: NetworkNamespace) -> None:
    run("add", pod)
    pod.run("ip", "address", "flush", "dev", "eth0", "scope", "global")
    run("check", pod, check=False)
    run("del", pod)


def test_the_wanted_mac_and_its_end(run: Cnitool, pod: NetworkNamespace) -> None:
    result = run("add", pod, mac="02:00:00:00:00:07")
    assert [link["mac"] for link in result["interfaces"] if link.get("sandbox")] == ["02:00:00:00:00:07"]
    run("del", pod)


def test_status_then_collection(run: Cnitool, pod: NetworkNamespace) -> None:
    """cnitool's gc counts nothing as valid: it deletes what its cache remembers, then calls GC."""
    run("status", pod)
    run("add", pod)
    run("gc", pod)
    assert pod.links() == {"lo"}


def test_del_while_the_agent_is_down_happens_when_it_is_back(run: Cnitool, pod: NetworkNamespace, agent: RunningAgent) -> None:
    before = host_links()
    run("add", pod)
    agent.stop()
    run("del", pod)
    assert host_links() != before
    agent.start()
    assert host_links() == before
