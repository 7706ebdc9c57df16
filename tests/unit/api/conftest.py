"""A live server on a temporary socket, over objects in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.api.client import Client
from agent.api.edge import Limits
from agent.api.fake import FakeBackend
from agent.api.peers import Gate
from agent.api.server import Server

OWNER = Gate(group="readers", group_id=None, owners=frozenset({0, os.geteuid()}))


@pytest.fixture
def backend() -> Iterator[FakeBackend]:
    made = FakeBackend()
    yield made
    made.store.close()


@pytest.fixture
def socket_path(tmp_path: Path) -> Path:
    return tmp_path / "agent.sock"


@pytest.fixture
def limits() -> Limits:
    """Short enough that a test can wait for each."""
    return Limits(silence_s=0.5, body_s=0.5, write_s=0.5, body_bytes=1 << 20, stop_s=0.5)


@pytest.fixture
def server(backend: FakeBackend, socket_path: Path, limits: Limits) -> Iterator[Server]:
    with Server(backend, socket_path, gate=OWNER, limits=limits) as running:
        yield running


@pytest.fixture
def client(server: Server, socket_path: Path) -> Iterator[Client]:
    with Client(socket_path, timeout_s=10) as connected:
        yield connected
