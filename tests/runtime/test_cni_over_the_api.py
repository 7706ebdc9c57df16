"""The installed binary over the agent's own API server: the two ends of the wire agree."""

import json
from collections.abc import Iterator

import pytest

from agent.api.backend import CniReply
from agent.api.cni import CniService
from agent.api.server import Server
from tests.runtime.conftest import CONFIG, Installed, MemoryNetwork

pytestmark = pytest.mark.spawns


class CniOnly:
    """As much of a Backend as POST /cni asks for."""

    def __init__(self, service: CniService) -> None:
        self._service = service

    def cni(self, request: bytes) -> CniReply:
        return self._service.answer(request)


@pytest.fixture(autouse=True)
def _server(installed: Installed, service: CniService) -> Iterator[None]:
    with Server(CniOnly(service), installed.socket):  # type: ignore[arg-type]
        yield


def test_add_and_del(installed: Installed, network: MemoryNetwork) -> None:
    added = installed.call("ADD")
    assert (added.returncode, json.loads(added.stdout)["cniVersion"]) == (0, "1.1.0")
    deleted = installed.call("DEL")
    assert (deleted.returncode, deleted.stdout, network.attached) == (0, b"", {})


def test_an_error(installed: Installed) -> None:
    installed.call("ADD")
    again = installed.call("ADD")
    assert (again.returncode, json.loads(again.stdout)["code"]) == (1, 101)


def test_many_callers_at_once(installed: Installed, network: MemoryNetwork) -> None:
    callers = [installed.start("ADD", f"c{number}") for number in range(40)]
    for caller in callers:
        assert caller.stdin
        caller.stdin.write(CONFIG)
        caller.stdin.close()
    assert [caller.wait(30) for caller in callers] == [0] * len(callers)
    assert len(network.attached) == len(callers)


def test_a_request_larger_than_the_agent_takes_is_an_error(installed: Installed) -> None:
    error = json.loads(installed.call("ADD", b"x" * (20 << 20)).stdout)
    assert (error["code"], "20971520 bytes" in error["msg"]) == (6, True)
