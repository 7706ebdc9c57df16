"""Who may do what: root everything, the group reads, others are told why not."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.api.client import Client
from agent.api.fake import FakeBackend
from agent.api.peers import Access, Gate, Peer, gate_for, peer_of
from agent.api.routes import ROUTES
from agent.api.server import Server
from agent.errors import Forbidden
from tests.unit.api.conftest import PODS, pod

GATE = Gate(group="podwright", group_id=990, owners=frozenset({0}))


@pytest.mark.parametrize(
    ("peer", "access"),
    [
        (Peer(1, uid=0, groups=frozenset({0})), Access.WRITE),
        (Peer(1, uid=1000, groups=frozenset({1000})), Access.NONE),
        (Peer(1, uid=1000, groups=frozenset({990})), Access.READ),
        (Peer(1, uid=1000, groups=frozenset({1000, 990})), Access.READ),
    ],
)
def test_access(peer: Peer, access: Access) -> None:
    assert GATE.access(peer) is access


def test_a_group_that_does_not_exist_lets_nobody_in() -> None:
    gate = gate_for("no-such-group-here")
    assert gate.access(Peer(1, uid=54321, groups=frozenset({54321}))) is Access.NONE


def test_the_kernel_says_who_the_peer_is() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        peer = peer_of(ours)
    assert (peer.pid, peer.uid) == (os.getpid(), os.getuid())
    assert peer.groups == {os.getgid(), *os.getgroups()}


@pytest.fixture
def reader(backend: FakeBackend, tmp_path: Path) -> Iterator[Client]:
    """We are in the group and own nothing."""
    gate = Gate(group="readers", group_id=os.getegid(), owners=frozenset())
    with Server(backend, tmp_path / "agent.sock", gate=gate), Client(tmp_path / "agent.sock") as client:
        yield client


@pytest.fixture
def stranger(backend: FakeBackend, tmp_path: Path) -> Iterator[Client]:
    gate = Gate(group="readers", group_id=None, owners=frozenset())
    with Server(backend, tmp_path / "agent.sock", gate=gate), Client(tmp_path / "agent.sock") as client:
        yield client


def test_the_group_reads_and_does_not_write(reader: Client) -> None:
    assert reader.get("/version")
    assert reader.get(PODS)["items"] == []
    for write in (lambda: reader.create(PODS, pod()), lambda: reader.apply(b"x"), lambda: reader.request("POST", "/cni", body=b"{}")):
        with pytest.raises(Forbidden, match="may read but not change") as refusal:
            write()
        assert refusal.value.hint == "run the command with sudo"


def test_secrets_are_not_for_the_group(reader: Client) -> None:
    for path in ("/api/v1/secrets", "/api/v1/namespaces/default/secrets", "/api/v1/namespaces/default/secrets/key"):
        with pytest.raises(Forbidden, match="by root only"):
            reader.get(path)
    with pytest.raises(Forbidden):
        list(reader.watch("/api/v1/secrets", timeout_s=1))


@pytest.mark.parametrize("path", ["/version", PODS, "/healthz", "/nowhere"])
def test_strangers_are_told_why_they_are_refused(stranger: Client, path: str) -> None:
    with pytest.raises(Forbidden, match="neither root nor in group readers") as refusal:
        stranger.request("GET", path)
    assert "usermod -aG readers" in refusal.value.hint


def test_a_stranger_learns_it_before_the_body_is_read(stranger: Client) -> None:
    with pytest.raises(Forbidden):
        stranger.apply(b"#" * (32 << 20))


def test_every_route_that_changes_something_needs_write() -> None:
    ask_with_a_body = {"/policy/changes", "/storage/capacity", "/volumes/{id}/stats"}  # and store nothing
    changing = [route for route in ROUTES if route.path not in ask_with_a_body]
    assert {route.method for route in changing if route.access is Access.READ} == {"GET"}
    assert all(route.access is Access.WRITE for route in changing if route.method != "GET")
