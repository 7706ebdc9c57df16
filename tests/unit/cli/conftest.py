"""The command line against a live server on a temporary socket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.api.server import Server
from agent.cli.main import run
from tests.unit.api.conftest import backend, client, limits, server, socket_path  # noqa: F401 - fixtures


@dataclass(frozen=True)
class Result:
    status: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        return [line.split() for line in self.out.splitlines()]


Podwright = Callable[..., Result]


@pytest.fixture
def podwright(server: Server, socket_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Podwright:  # noqa: F811
    """Run a command in this process; what it printed and its exit status."""
    monkeypatch.setenv("PODWRIGHT_SOCKET", str(socket_path))
    monkeypatch.delenv("PODWRIGHT_NAMESPACE", raising=False)

    def command(*arguments: str) -> Result:
        capsys.readouterr()
        status = run(list(arguments))
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return command
