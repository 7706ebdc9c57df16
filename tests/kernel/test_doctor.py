"""doctor on a real node: nothing to complain about when all is well, and what is broken on purpose is found."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.kernel import probe
from agent.kernel.nft import Chain, Family, Hook, Ruleset, Table
from tests.fresh import shell
from tests.places import NODE_ADDRESS, OUTSIDE, SEGMENT, make_pods, manifest, run
from tests.running import PODWRIGHT, ROOT, RunningAgent

pytestmark = [pytest.mark.kernel, pytest.mark.needs("nft")]

HOST_PORT = 8081
Report = dict[str, list[dict[str, str]]]


@pytest.fixture(scope="module")
def node(agent: RunningAgent) -> RunningAgent:
    make_pods(agent, manifest("a", f"containerPort: 80, hostPort: {HOST_PORT}"), manifest("b"))
    return agent


def doctor(agent: RunningAgent, *arguments: str) -> tuple[int, Report]:
    """Exit status, and the findings of each check."""
    settings = agent.log.with_name("config.yaml")
    settings.write_text(f"runDir: {agent.run_dir}\nstateDir: {agent.state_dir}\n")
    command = [*PODWRIGHT, "--socket", str(agent.socket_path), "doctor", "-o", "json", "--config", str(settings), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    report: Report = {}
    for one in json.loads(done.stdout):
        report.setdefault(one["check"], []).append(one)
    return done.returncode, report


def only(agent: RunningAgent, check: str, *arguments: str) -> list[dict[str, str]]:
    _, report = doctor(agent, "--only", check, *arguments)
    return report[check]


@contextmanager
def unattended(agent: RunningAgent) -> Iterator[None]:
    """Without the agent, which would put right within a second what is wrong here."""
    agent.kill()
    try:
        yield
    finally:
        agent.start()


@contextmanager
def held(name: str, value: str) -> Iterator[None]:
    """Against an agent that lives, and puts it right each time."""
    path, stop = Path("/proc/sys", name), threading.Event()

    def write() -> None:
        while not stop.wait(0.002):
            path.write_text(value)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()


@contextmanager
def setting(name: str, value: str) -> Iterator[None]:
    path = Path("/proc/sys", name)
    before = path.read_text()
    path.write_text(value)
    try:
        yield
    finally:
        path.write_text(before)


def state() -> list[str]:
    """Not addresses: the kernel itself still works on new ones (tentative)."""
    return [
        shell("nft list ruleset"),
        shell("ip -o link | cut -d: -f1,2"),
        shell("ip route"),
        shell("sysctl -a 2>/dev/null | grep forwarding"),
    ]


def test_a_healthy_node_has_no_problem_and_is_left_as_it_is(node: RunningAgent) -> None:
    before = state()
    status, report = doctor(node)
    assert [one for found in report.values() for one in found if one["level"] == "fail"] == []
    assert status == 0
    assert state() == before
    assert report["leftovers"][0]["message"] == "the agent knows each of the 2 pod links"
    assert report["nftables"][0]["level"] == report["links"][0]["level"] == report["cgroups"][0]["level"] == "ok"


def test_forwarding_that_was_turned_off(node: RunningAgent) -> None:
    with held("net/ipv4/ip_forward", "0"):
        looks = (doctor(node, "--only", "forwarding") for _ in range(5))  # one may fall into the moment of the cure
        status, report = next((found for found in looks if found[0]), (0, {}))
    assert status == 1
    assert report["forwarding"][0]["cure"] == "sysctl -w net/ipv4/ip_forward=1"
    shell("sysctl -w net/ipv4/ip_forward=1")


def test_the_cure_can_be_typed(node: RunningAgent) -> None:
    with unattended(node), setting("net/ipv6/conf/all/forwarding", "0"):
        shell(only(node, "forwarding")[0]["cure"])
        assert only(node, "forwarding")[0]["level"] == "ok"


def test_a_program_that_listens_on_a_host_port_is_named(node: RunningAgent) -> None:
    with socket.create_server(("", HOST_PORT)):
        (found,) = only(node, "host ports")
    assert found["level"] == "warn"
    assert f"TCP {HOST_PORT} of pod default/a is also listened on by" in found["message"]
    assert f"(pid {os.getpid()})" in found["message"]
    assert only(node, "host ports")[0]["level"] == "ok"


def test_another_machine_with_the_nodes_address_is_found_on_request(node: RunningAgent) -> None:
    assert [one["level"] for one in only(node, "node address", "--probe")] == ["ok", "ok"]
    run(OUTSIDE, f"ip address add {NODE_ADDRESS[4]}/32 dev {SEGMENT}")
    try:
        assert "--probe" in only(node, "node address")[0]["message"]
        found = only(node, "node address", "--probe")[0]
    finally:
        run(OUTSIDE, f"ip address del {NODE_ADDRESS[4]}/32 dev {SEGMENT}")
    assert found["level"] == "fail"
    assert found["message"].startswith(f"{NODE_ADDRESS[4]} on uplink is also claimed by ")


def test_pod_links_of_another_mtu(node: RunningAgent) -> None:
    link = shell("ls /sys/class/net | grep ^pwv | head -1").strip()
    with unattended(node):
        shell(f"ip link set {link} mtu 1400")
        assert "with 1400" in only(node, "MTU")[0]["message"]


def test_a_link_that_the_agent_does_not_know(node: RunningAgent) -> None:
    shell("ip link add pwvstranger type veth peer name pwxpeer")
    try:
        assert "1 of the pod links: pwvstranger" in only(node, "leftovers")[0]["message"]
    finally:
        shell("ip link del pwvstranger")


@pytest.mark.parametrize("mode", ["bridge"], scope="module")
def test_a_bridge_with_another_mac(node: RunningAgent, mode: str) -> None:
    assert only(node, "MAC addresses")[0]["level"] == "ok"
    mac = Path("/sys/class/net/pw0/address").read_text().strip()
    with unattended(node):
        shell("ip link set pw0 address 02:00:00:00:00:77")
        assert f"pods know it as {mac}" in only(node, "MAC addresses")[0]["message"]


def test_what_a_dead_agent_leaves(node: RunningAgent) -> None:
    node.kill()
    try:
        status, report = doctor(node)
        assert status == 1
        assert "cannot reach the agent" in report["agent"][0]["message"]
        found = report["leftovers"][0]
        assert found["message"].startswith("no agent runs, but ")
        assert "the namespaces of 2 pods" in found["message"]
        assert "nftables tables" in found["message"]
    finally:
        node.start()


class TestProbes:
    """They must be able to say no."""

    def test_links(self) -> None:
        refused = probe.links(("veth", "nonsense"))
        assert refused["veth"] == ""
        assert "ip link add probe-nonsense type nonsense" in refused["nonsense"]

    def test_modules(self) -> None:
        assert not probe.has_module("nonsense")

    def test_rulesets(self) -> None:
        table = Table(Family.INET, "probe")
        impossible = Chain(table, "c", (), Hook("nat", "forward", 0))
        refused = probe.rulesets({"good": (Ruleset((table,)), ()), "bad": (Ruleset((table,), chains=(impossible,)), ())})
        assert refused["good"] == ""
        assert refused["bad"].startswith("kernel refused `nft add chain inet probe c")

    def test_nothing_is_left_here(self) -> None:
        before = state()
        assert probe.shaping() == ""
        assert {probe.has_destroy(), probe.owns_tables()} <= {True, False}
        assert state() == before

    def test_a_failure_inside_is_raised_outside(self) -> None:
        def fail() -> Any:
            raise LookupError("here")

        with pytest.raises(LookupError, match="here"):
            probe.in_scratch_namespace(fail)
