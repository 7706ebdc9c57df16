"""Addresses from the reference IPAM plugins: leased with ADD, looked at with CHECK, and given back whatever happens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running import RunningAgent
from tests.runtime.neighbours import CAPABILITIES, REFERENCE, Neighbours, leases, told
from tests.runtime.network_namespace import NetworkNamespace

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not (REFERENCE / "host-local").exists(), reason="needs Debian's containernetworking-plugins in /usr/lib/cni"),
]


@pytest.fixture(scope="module", params=["bridge", "routed"])
def agent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    running = RunningAgent(tmp_path_factory.mktemp("agent"), network__mode=request.param)
    running.start()
    yield running
    running.clear()


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[NetworkNamespace]:
    with NetworkNamespace.made(tmp_path / "pod") as made:
        yield made


@pytest.fixture
def host_local(cnitool: Path, tmp_path: Path, agent: RunningAgent, pod: NetworkNamespace) -> Iterator[Neighbours]:
    ranges = [[{"subnet": "10.99.0.0/29"}], [{"subnet": "fd99::/125"}]]
    ipam = {"type": "host-local", "ranges": ranges, "dataDir": str(tmp_path / "leases"), "routes": [{"dst": "0.0.0.0/0"}]}
    run = Neighbours(cnitool, tmp_path, agent, {"type": "podwright", "capabilities": CAPABILITIES, "ipam": ipam})
    yield run
    run("del", pod)


def test_a_life(host_local: Neighbours, pod: NetworkNamespace, tmp_path: Path) -> None:
    result = host_local("add", pod)
    assert set(told(result)) == pod.addresses("eth0") == set(leases(tmp_path / "leases"))
    assert {address.rpartition(".")[0] for address in told(result) if "." in address} == {"10.99.0"}
    pod.ping("192.0.2.11")
    pod.ping("2001:db8::11")
    host_local("check", pod)
    host_local("del", pod)
    assert leases(tmp_path / "leases") == []
    assert pod.links() == {"lo"}


def test_two_pods_of_such_a_network_reach_each_other(host_local: Neighbours, pod: NetworkNamespace, tmp_path: Path) -> None:
    with NetworkNamespace.made(tmp_path / "other") as other:
        host_local("add", pod)
        for address in told(host_local("add", other)):
            pod.ping(address)
        for each in (pod, other):
            host_local("del", each)


def test_the_lease_is_given_back_when_the_attach_fails(host_local: Neighbours, pod: NetworkNamespace, tmp_path: Path) -> None:
    pod.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other")
    assert "eth0 exists already" in host_local("add", pod, check=False)
    assert leases(tmp_path / "leases") == []
    host_local("del", pod)


def test_the_plugins_refusal_is_told_and_nothing_is_left(host_local: Neighbours, pod: NetworkNamespace, tmp_path: Path) -> None:
    refusal = host_local("add", pod, check=False, ips=["10.1.1.1/24"])
    assert "host-local failed on ADD" in refusal
    assert leases(tmp_path / "leases") == []
    assert pod.links() == {"lo"}
    host_local("del", pod)


def test_check_sees_a_lease_that_is_gone(host_local: Neighbours, pod: NetworkNamespace, tmp_path: Path) -> None:
    host_local("add", pod)
    for path in (tmp_path / "leases").rglob("*"):
        if path.is_file():
            path.unlink()
    assert "host-local failed on CHECK" in host_local("check", pod, check=False)
    host_local("del", pod)


def test_a_pod_that_died_without_a_del_gives_its_lease_back(
    host_local: Neighbours, pod: NetworkNamespace, tmp_path: Path, agent: RunningAgent
) -> None:
    host_local("add", pod)
    pod.delete()
    agent.restart()  # looks at once, and then every minute
    deadline = time.monotonic() + 10
    while leases(tmp_path / "leases") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert leases(tmp_path / "leases") == []


@pytest.mark.parametrize(
    ("fields", "capabilities", "args", "expected"),
    [
        ({"addresses": [{"address": "10.98.0.5/24"}]}, {}, "", "10.98.0.5"),
        ({"addresses": [{"address": "10.98.0.5/24"}]}, {"ips": ["10.98.0.6/24"]}, "", "10.98.0.6"),
        ({}, {}, "IgnoreUnknown=1;IP=10.98.0.7/24", "10.98.0.7"),
    ],
    ids=["the configuration", "the runtime", "the environment"],
)
def test_static_addresses(  # noqa: PLR0917 - a row of a table
    cnitool: Path,
    tmp_path: Path,
    agent: RunningAgent,
    pod: NetworkNamespace,
    fields: dict[str, Any],
    capabilities: dict[str, Any],
    args: str,
    expected: str,
) -> None:
    plugin = {"type": "podwright", "capabilities": CAPABILITIES, "ipam": {"type": "static", **fields}}
    run = Neighbours(cnitool, tmp_path, agent, plugin)
    assert told(run("add", pod, args=args, **capabilities)) == [expected]
    assert pod.addresses("eth0") == {expected}
    pod.ping("192.0.2.11")
    run("del", pod)


def test_a_plugin_that_is_not_there(cnitool: Path, tmp_path: Path, agent: RunningAgent, pod: NetworkNamespace) -> None:
    run = Neighbours(cnitool, tmp_path, agent, {"type": "podwright", "ipam": {"type": "no-such-plugin"}})
    assert "no plugin 'no-such-plugin' in CNI_PATH" in run("add", pod, check=False)
