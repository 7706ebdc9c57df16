"""Every example in examples/: its pods stand on a real agent, and the commands in its comment do what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from agent import config
from agent.api.client import Client
from tests.running import ROOT, RunningAgent, is_sandboxed

EXAMPLES = ROOT / "examples"
MANIFESTS = sorted(path.name for path in EXAMPLES.glob("*.yaml") if ".config." not in path.name)
COMMAND = re.compile(r"^#   ((?:podwright|curl|tc) .*)$", re.MULTILINE)
PODS = {"start.yaml": 4, "hundred.yaml": 100, "two-pods.yaml": 2}
"""How many an example makes, where it is not one."""
PATIENCE_S = 20.0

pytestmark = [pytest.mark.kernel, pytest.mark.needs(str(Path(sys.executable).with_name("podwright")), "curl", "tc", "ping")]


@pytest.fixture(scope="module")
def mode() -> str:
    return "bridge"


def pods_of(client: Client) -> list[dict[str, Any]]:
    return list(client.get("/api/v1/pods")["items"])


def wait_for(count: int, agent: RunningAgent) -> list[dict[str, Any]]:
    """Until there are so many pods in all namespaces, each with its sandbox."""
    deadline = time.monotonic() + PATIENCE_S
    with agent.client as client:
        while len(pods := pods_of(client)) != count or not all(map(is_sandboxed, pods)):
            assert time.monotonic() < deadline, f"{len(pods)} of {count} pods:\n{agent.tail()}"
            time.sleep(0.02)
    return pods


def type_(command: str, agent: RunningAgent) -> str:
    """As a user in the clone would; a server that was just started may need a moment."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"
    environment = {**os.environ, "PATH": path, "PODWRIGHT_SOCKET": str(agent.socket_path)}
    deadline = time.monotonic() + 5.0
    while True:
        done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode == 0:
            return done.stdout
        assert time.monotonic() < deadline, f"{command}\n{done.stdout}{done.stderr}"
        time.sleep(0.1)


@pytest.fixture
def applied(request: pytest.FixtureRequest, agent: RunningAgent) -> Iterator[str]:
    """The example's text, while its objects are there."""
    example = EXAMPLES / request.param
    agent.cli("apply", "-f", str(example))
    wait_for(PODS.get(example.name, 1), agent)
    yield example.read_text()
    agent.cli("delete", "-f", str(example))
    wait_for(0, agent)


@pytest.mark.parametrize("applied", MANIFESTS, indirect=True)
def test_its_commands_work(applied: str, agent: RunningAgent) -> None:
    for command in COMMAND.findall(applied):
        assert type_(command, agent).strip()


@pytest.mark.parametrize("applied", ["two-pods.yaml"], indirect=True)
def test_two_pods_answer_each_other(applied: str, agent: RunningAgent) -> None:
    *_, serve, ping, ask = COMMAND.findall(applied)
    type_(serve, agent)
    assert " 0% packet loss" in type_(ping, agent)
    assert type_(ask, agent) == "b'server\\n'\n"


@pytest.mark.parametrize("applied", ["host-port.yaml"], indirect=True)
def test_the_host_port_answers(applied: str, agent: RunningAgent) -> None:
    *_, serve, ask = COMMAND.findall(applied)
    type_(serve, agent)
    assert type_(ask, agent) == "hello\n"


@pytest.mark.parametrize("applied", ["bandwidth.yaml"], indirect=True)
def test_the_limits_are_in_the_kernel_and_follow_the_annotations(applied: str, agent: RunningAgent) -> None:
    *_, show, change = COMMAND.findall(applied)
    assert sorted(re.findall(r"rate (\S+)", type_(show, agent))) == ["10Mbit", "20Mbit"]
    type_(change, agent)
    deadline = time.monotonic() + 5.0
    while sorted(re.findall(r"rate (\S+)", type_(show, agent))) != ["10Mbit", "40Mbit"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(params=sorted(path.name for path in EXAMPLES.glob("*.config.yaml")))
def configured(request: pytest.FixtureRequest, agent: RunningAgent, tmp_path: Path) -> Iterator[RunningAgent]:
    """An agent with the example as its configuration, on a node where none was before."""
    agent.clear()
    is_new = not config.DEFAULT_FILE.parent.exists()
    config.DEFAULT_FILE.parent.mkdir(exist_ok=True)
    config.DEFAULT_FILE.write_text((EXAMPLES / request.param).read_text())
    running = RunningAgent(tmp_path).start()
    yield running
    running.clear()
    config.DEFAULT_FILE.unlink()
    if is_new:
        config.DEFAULT_FILE.parent.rmdir()
    agent.start()


def test_an_ipv6_only_node(configured: RunningAgent) -> None:
    type_("podwright apply -f examples/two-pods.yaml", configured)
    addresses = [ip_address(entry["ip"]) for pod in wait_for(2, configured) for entry in pod["status"]["podIPs"]]
    assert [address.version for address in addresses] == [6, 6]
    assert " 0% packet loss" in type_(f"podwright exec client -- ping -c 1 {addresses[-1]}", configured)
