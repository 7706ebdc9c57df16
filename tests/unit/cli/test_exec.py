"""podwright exec becomes the process that carries out the agent's plan."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pytest

from agent.api.client import Client
from agent.cli import exec as exec_command
from tests.unit.api.conftest import PODS, pod
from tests.unit.cli.conftest import Podwright


class Became(BaseException):
    """Instead of replacing the test's process."""


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the command would have become: its argument vector and the plan behind its descriptor."""
    found: list[Any] = []

    def execv(program: str, arguments: list[str]) -> None:
        assert program == sys.executable
        descriptor = int(arguments[-1])
        assert os.get_inheritable(descriptor)
        found.append((arguments[1:-1], json.loads(os.read(descriptor, 1 << 16))))
        raise Became

    monkeypatch.setattr(exec_command.os, "execv", execv)
    monkeypatch.setattr(exec_command, "_close_input", lambda: None)
    return found


def test_the_plan_is_handed_over(podwright: Podwright, client: Client, became: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    client.create(PODS, pod("web-1"))
    with pytest.raises(Became):
        podwright("exec", "web-1", "-c", "main", "--", "ls", "-l", "--", "/")
    assert capsys.readouterr().err == "warning: spec.containers[0].image is not used\n"
    plan = {"pod": "web-1", "argv": ["ls", "-l", "--", "/"], "container": "main", "detach": False}
    assert became == [(["-I", "-m", "agent.sandbox.enter", "--plan-fd"], plan)]


def test_options_before_the_pod_too(podwright: Podwright, client: Client, became: list[Any]) -> None:
    client.create(PODS, pod("web-1"))
    with pytest.raises(Became):
        podwright("exec", "--detach", "pod/web-1", "--", "sleep", "5")
    assert became[0][1]["detach"] is True
    assert became[0][1]["argv"] == ["sleep", "5"]


def test_the_plan_cannot_be_changed_any_more() -> None:
    descriptor = exec_command.plan_descriptor({"argv": ["true"]})
    with pytest.raises(PermissionError):
        os.write(descriptor, b"x")
    os.close(descriptor)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["exec", "absent", "--", "true"], 1, "pod default/absent does not exist"),
        (["exec", "web-1"], 2, "missing argument"),
        (["exec", "web-1", "-e", "novalue", "--", "true"], 2, '--env takes NAME=VALUE, not "novalue"'),
    ],
)
def test_what_cannot_be_run_is_told(podwright: Podwright, client: Client, arguments: list[str], status: int, message: str) -> None:
    client.create(PODS, pod("web-1"))
    result = podwright(*arguments)
    assert result.status == status
    assert message in result.err
