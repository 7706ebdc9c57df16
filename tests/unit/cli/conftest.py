"""The command line against a live server on a temporary socket."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.api.client import Client
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
Later = Callable[[Callable[[Client], object]], None]


@pytest.fixture
def podwright(server: Server, socket_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Podwright:  # noqa: F811
    """Run a command in this process; what it printed and its exit status."""
    monkeypatch.setenv("PODWRIGHT_SOCKET", str(socket_path))
    monkeypatch.delenv("PODWRIGHT_NAMESPACE", raising=False)
    monkeypatch.setattr("agent.cli.columns.age", lambda _: "5s")

    def command(*arguments: str) -> Result:
        capsys.readouterr()
        status = run(list(arguments))
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return command


@pytest.fixture
def later(socket_path: Path) -> Iterator[Later]:  # noqa: F811
    """Do something a moment later, with another client, while a command waits."""
    timers: list[threading.Timer] = []

    def do(act: Callable[[Client], object]) -> None:
        def with_client() -> None:
            with Client(socket_path) as other:
                act(other)

        timers.append(threading.Timer(0.3, with_client))
        timers[-1].start()

    yield do
    for timer in timers:
        timer.join()
