"""The socket on disk: a stale one is replaced, a live one is not, and nobody meets one that refuses."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from agent.api.listener import claim
from agent.errors import AlreadyExists, InvalidObject


def connect(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_claim_and_release(tmp_path: Path) -> None:
    path = tmp_path / "run" / "agent.sock"
    claimed = claim(path)
    connect(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    assert [entry.name for entry in path.parent.iterdir()] == ["agent.sock"]
    claimed.release()
    assert not path.exists()


def test_a_live_one_is_an_error_that_names_the_process(tmp_path: Path) -> None:
    claimed = claim(tmp_path / "agent.sock")
    with pytest.raises(AlreadyExists, match=f"an agent with pid {os.getpid()} holds it"):
        claim(tmp_path / "agent.sock")
    connect(tmp_path / "agent.sock")
    claimed.release()


def test_a_stale_one_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(path))
    claimed = claim(path)
    connect(path)
    claimed.release()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "agent.sock").write_text("precious")
    with pytest.raises(AlreadyExists, match="is not a socket"):
        claim(tmp_path / "agent.sock")
    assert (tmp_path / "agent.sock").read_text() == "precious"


def test_releasing_leaves_a_successors_socket(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    first = claim(path)
    first.socket.close()
    second = claim(path)
    first.release()
    connect(path)
    second.release()


def test_a_path_that_no_socket_can_have(tmp_path: Path) -> None:
    with pytest.raises(InvalidObject, match="at most 107 bytes"):
        claim(tmp_path / ("x" * 120) / "agent.sock")
