"""podwright beside the reference plugins in one list: before tuning, firewall and portmap, and behind bridge or ptp."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.prober import inside
from tests.rulesets import ours
from tests.running import RunningAgent
from tests.runtime.neighbours import CAPABILITIES, REFERENCE, Neighbours, shown, told
from tests.runtime.network_namespace import NetworkNamespace

FOLLOWED = '"foreign_ok"'
"""The set of other tools' devices follows the links, a moment behind them."""

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not (REFERENCE / "bridge").exists(), reason="needs Debian's containernetworking-plugins in /usr/lib/cni"),
]
OURS = {"type": "podwright", "capabilities": CAPABILITIES}
NODE = "192.0.2.11"


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


def main_plugin(kind: str, folder: Path) -> dict[str, Any]:
    ranges, routes = [[{"subnet": "10.97.0.0/24"}]], [{"dst": "0.0.0.0/0"}]
    ipam = {"type": "host-local", "ranges": ranges, "routes": routes, "dataDir": str(folder / "leases")}
    return {"type": kind, "ipam": ipam, **({"bridge": "cni7", "isGateway": True} if kind == "bridge" else {})}


@pytest.fixture(params=["bridge", "ptp"])
def behind(
    request: pytest.FixtureRequest, cnitool: Path, tmp_path: Path, agent: RunningAgent, pod: NetworkNamespace
) -> Iterator[Neighbours]:
    run = Neighbours(cnitool, tmp_path, agent, main_plugin(request.param, tmp_path), OURS)
    yield run
    run("del", pod)
    subprocess.run(["ip", "link", "del", "cni7"], capture_output=True, check=False)


@contextmanager
def greeter(pod: NetworkNamespace, port: int) -> Iterator[None]:
    """Says hello to whoever connects, and to whom."""
    with inside(pod.path):
        server = socket.create_server(("0.0.0.0", port))

    def serve() -> None:
        while True:
            try:
                connection, peer = server.accept()
            except OSError:
                return
            with connection:
                connection.sendall(peer[0].encode())

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def greeting(address: str, port: int) -> str:
    with socket.create_connection((address, port), timeout=3) as connection:
        return connection.recv(100).decode()


class TestFirst:
    """What comes after us finds a result that it can work with."""

    @pytest.fixture
    def run(self, cnitool: Path, tmp_path: Path, agent: RunningAgent, pod: NetworkNamespace) -> Iterator[Neighbours]:
        tuning = {"type": "tuning", "mtu": 1400, "sysctl": {"net.ipv4.conf.eth0.arp_filter": "1"}}
        portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
        made = Neighbours(cnitool, tmp_path, agent, {"type": "podwright"}, tuning, {"type": "firewall"}, portmap)
        yield made
        made("del", pod)
        for family in ("ip", "ip6"):  # the firewall plugin never removes its own
            subprocess.run(["nft", "delete", "table", family, "filter"], check=False, capture_output=True)

    def test_tuning_firewall_and_portmap_run_after_us(self, run: Neighbours, pod: NetworkNamespace) -> None:
        before = ours()
        result = run("add", pod)
        assert pod.addresses("eth0") == set(told(result))
        assert pod.run("cat", "/proc/sys/net/ipv4/conf/eth0/arp_filter").strip() == "1"
        pod.ping(NODE)
        run("check", pod)
        run("del", pod)
        assert pod.links() == {"lo"}
        assert ours() == before


class TestBehind:
    def test_no_interface_is_made_and_the_result_passes_unchanged(self, behind: Neighbours, pod: NetworkNamespace) -> None:
        result = behind("add", pod)
        assert pod.links() == {"lo", "eth0"}
        assert set(told(result)) == pod.addresses("eth0")
        assert not [link for link in shown("link", "show") if link["ifname"].startswith("pwv")]
        assert result["ips"][0]["gateway"] == "10.97.0.1", "the main plugin's own"
        pod.ping(NODE)
        behind("check", pod)

    def test_everything_of_ours_goes_with_a_del(self, behind: Neighbours, pod: NetworkNamespace) -> None:
        behind("add", pod)
        behind("del", pod)
        before = ours(), shown("link", "show", "type", "ifb")
        behind(
            "add",
            pod,
            portMappings=[{"hostPort": 8097, "containerPort": 80, "protocol": "tcp"}],
            bandwidth={"ingressRate": 10**7, "egressRate": 10**7},
        )
        assert ours() != before[0]
        behind("del", pod)
        assert (ours(), shown("link", "show", "type", "ifb")) == before

    def test_a_host_port_leads_to_it(self, behind: Neighbours, pod: NetworkNamespace) -> None:
        behind("add", pod, portMappings=[{"hostPort": 8097, "containerPort": 80, "protocol": "tcp"}])
        with greeter(pod, 80):
            assert greeting(NODE, 8097) != ""
            assert greeting("127.0.0.1", 8097) not in ("", "127.0.0.1")

    def test_what_it_sends_is_limited(self, behind: Neighbours, pod: NetworkNamespace) -> None:
        behind("add", pod, bandwidth={"ingressRate": 8_000_000, "egressRate": 16_000_000})
        buckets = subprocess.run(["tc", "qdisc", "show"], capture_output=True, text=True, check=True).stdout
        assert {word for line in buckets.splitlines() if " tbf " in line for word in line.split() if word.endswith("bit")} == {
            "8Mbit",
            "16Mbit",
        }
        pod.ping(NODE)

    def test_a_foreign_source_address_is_dropped_at_its_device(self, behind: Neighbours, pod: NetworkNamespace) -> None:
        behind("add", pod)
        pod.run("ip", "address", "add", "10.97.0.200/32", "dev", "eth0")
        with inside(pod.path):
            spoofer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            spoofer.bind(("10.97.0.200", 0))
            honest = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear, spoofer, honest:
            ear.bind((NODE, 9797))
            ear.settimeout(2)
            spoofer.sendto(b"spoofed", (NODE, 9797))
            honest.sendto(b"honest", (NODE, 9797))
            assert ear.recv(100) == b"honest"

    def test_it_survives_a_restart_of_the_agent(self, behind: Neighbours, pod: NetworkNamespace, agent: RunningAgent) -> None:
        behind("add", pod, portMappings=[{"hostPort": 8097, "containerPort": 80, "protocol": "tcp"}])
        before = ours()
        agent.kill()
        agent.start()
        assert [each for each in ours() if FOLLOWED not in each] == [each for each in before if FOLLOWED not in each]
        with greeter(pod, 80):
            assert greeting(NODE, 8097) != ""

    def test_a_link_that_is_gone_is_dead(self, behind: Neighbours, pod: NetworkNamespace, agent: RunningAgent) -> None:
        """The list's GC: cnitool counts nothing as valid."""
        behind("add", pod)
        pod.delete()
        agent.restart()
        assert agent.json("get", "attachments")["items"] == []


def test_behind_something_that_makes_no_veth_it_says_what_is_needed(
    cnitool: Path, tmp_path: Path, agent: RunningAgent, pod: NetworkNamespace
) -> None:
    main = {"type": "macvlan", "master": "uplink", "ipam": {"type": "static", "addresses": [{"address": "10.96.0.2/24"}]}}
    run = Neighbours(cnitool, tmp_path, agent, main, OURS)
    assert "eth0 is a macvlan" in run("add", pod, check=False)
    run("del", pod)
