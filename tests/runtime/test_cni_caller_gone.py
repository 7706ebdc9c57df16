"""A runtime that gives up in the middle of an ADD: whatever the agent did for it is taken back."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.api.backend import CniReply
from agent.api.cni import CniService
from agent.api.server import Server
from agent.network.request import AttachRequest, AttachResult
from agent.objects.attachment import AttachmentKey
from tests.runtime.conftest import CONFIG, Installed, MemoryNetwork

pytestmark = pytest.mark.spawns
KEY = AttachmentKey("pods", "c1", "eth0")


class SlowNetwork(MemoryNetwork):
    """Attaches when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked, self.may_go_on = threading.Event(), threading.Event()

    def attach(self, request: AttachRequest) -> AttachResult:
        self.is_asked.set()
        assert self.may_go_on.wait(10)
        return super().attach(request)


class CniOnly:
    """As much of a Backend as POST /cni asks for."""

    def __init__(self, service: CniService) -> None:
        self._service = service

    def cni(self, request: bytes) -> CniReply:
        return self._service.answer(request)


@pytest.fixture
def network() -> SlowNetwork:
    return SlowNetwork()


@pytest.fixture(autouse=True)
def _server(installed: Installed, service: CniService) -> Iterator[None]:
    with Server(CniOnly(service), installed.socket):  # type: ignore[arg-type]
        yield


def asked(caller: subprocess.Popen[bytes]) -> None:
    assert caller.stdin
    caller.stdin.write(CONFIG)
    caller.stdin.close()


def wait_until_detached(network: MemoryNetwork) -> None:
    deadline = time.monotonic() + 5
    while not network.detached and time.monotonic() < deadline:
        time.sleep(0.01)
    assert network.detached == [KEY]
    assert network.attached == {}


def test_killed_while_the_agent_works(installed: Installed, network: SlowNetwork) -> None:
    caller = installed.start("ADD")
    asked(caller)
    assert network.is_asked.wait(5)
    caller.kill()
    caller.wait(5)
    network.may_go_on.set()
    wait_until_detached(network)


def test_killed_while_it_prints(installed: Installed, network: SlowNetwork, tmp_path: Path) -> None:
    """The agent's answer has arrived; nobody reads the pipe it is to be printed on, and that is full."""
    network.may_go_on.set()
    installed.faster("        write(1, output)\n", "        write(1, bytes(1 << 20) + output)\n")
    caller = installed.start("ADD")
    asked(caller)
    deadline = time.monotonic() + 5
    while not network.attached and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    assert network.attached.keys() == {KEY}, "as long as the caller lives its ADD stands"
    caller.kill()
    caller.wait(5)
    wait_until_detached(network)


def test_a_runtime_that_closed_the_pipe(installed: Installed, network: SlowNetwork) -> None:
    caller = installed.start("ADD")
    asked(caller)
    assert network.is_asked.wait(5)
    assert caller.stdout
    caller.stdout.close()
    network.may_go_on.set()
    assert caller.wait(5) != 0
    wait_until_detached(network)


def test_an_add_that_was_printed_stands(installed: Installed, network: SlowNetwork) -> None:
    network.may_go_on.set()
    assert installed.call("ADD").returncode == 0
    time.sleep(0.2)
    assert network.attached.keys() == {KEY}
    assert network.detached == []
