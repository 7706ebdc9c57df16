"""Clients that are slow, silent, too large or too many: each is dealt with, and the others do not notice."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.api import connections
from agent.api.backend import CniReply
from agent.api.client import Client
from agent.api.fake import FakeBackend
from agent.api.peers import Gate
from agent.api.server import Server
from agent.errors import CallerError
from tests.unit.api.conftest import PODS, pod


@pytest.fixture
def raw(server: Server, socket_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(socket_path))
        connection.settimeout(5)
        yield connection


def answer(connection: socket.socket) -> bytes:
    """Everything until the server closes, or resets."""
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTT", b"GET /healthz HTTP/1.1\r\nHost: x\r\n"])
def test_half_a_header_is_closed_after_a_while(raw: socket.socket, client: Client, sent: bytes) -> None:
    raw.sendall(sent)
    start = time.monotonic()
    client.get("/version")
    assert time.monotonic() - start < 0.3
    assert answer(raw) == b""
    assert 0.3 < time.monotonic() - start < 3


def test_a_silent_connection_after_a_request_is_closed_too(raw: socket.socket) -> None:
    raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /hea")
    assert answer(raw).count(b"200 OK") == 1


def test_half_a_body_is_told_that_it_is_late(raw: socket.socket, client: Client) -> None:
    raw.sendall(b"POST /apply HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nkind: Pod")
    reply = answer(raw)
    assert reply.startswith(b"HTTP/1.1 408 ")
    assert json.loads(reply.partition(b"\r\n\r\n")[2])["message"] == "the request's body did not arrive within 0.5 s"


def test_a_body_beyond_the_limit_is_refused(client: Client) -> None:
    with pytest.raises(CallerError, match="body is too large"):
        client.apply(b"#" * (2 << 20))
    assert client.get("/version")


def test_what_is_no_http_is_refused(raw: socket.socket, client: Client) -> None:
    raw.sendall(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
    assert b" 400 " in answer(raw)
    assert client.get("/version")


def test_an_answer_that_nobody_reads_is_given_up(raw: socket.socket, client: Client) -> None:
    for number in range(40):
        client.create(PODS, {**pod(), "metadata": {"name": f"p{number}", "annotations": {"filler": "x" * 20000}}})
    whole = len(client.request("GET", PODS).body)
    raw.sendall(f"GET {PODS} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    time.sleep(1.5)
    start = time.monotonic()
    client.get("/version")
    assert time.monotonic() - start < 0.3
    assert len(answer(raw)) < whole


def test_slow_handlers_of_one_kind_leave_the_others_alone(client: Client, backend: FakeBackend, socket_path: Path) -> None:
    """More CNI calls than threads: reading still works."""
    release = threading.Event()

    def slow(request: bytes) -> CniReply:
        release.wait(5)
        return CniReply(0, request)

    backend.answer_cni = slow
    callers = [threading.Thread(target=lambda: Client(socket_path).request("POST", "/cni", body=b"{}")) for _ in range(40)]
    for caller in callers:
        caller.start()
    start = time.monotonic()
    client.get("/version")
    client.create(PODS, pod())
    assert time.monotonic() - start < 0.5
    release.set()
    for caller in callers:
        caller.join(5)


def test_one_user_cannot_take_all_connections(backend: FakeBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_PER_USER", 5)
    nobody_owns = Gate(group="readers", group_id=os.getegid(), owners=frozenset())
    with Server(backend, tmp_path / "agent.sock", gate=nobody_owns):
        held = [socket.socket(socket.AF_UNIX) for _ in range(6)]
        for connection in held:
            connection.connect(str(tmp_path / "agent.sock"))
            connection.settimeout(5)
        assert held[5].recv(1) == b"", "the sixth is closed at once"
        held[0].close()
        time.sleep(0.1)
        with Client(tmp_path / "agent.sock") as client:
            assert client.get("/version"), "one that ended makes room"
        for connection in held:
            connection.close()


def test_an_idle_client_sends_again_on_a_new_connection(client: Client) -> None:
    client.get("/version")
    time.sleep(1.8)
    assert client.get("/version")


def test_callers_who_leave_at_once_are_no_trouble(server: Server, client: Client, socket_path: Path) -> None:
    for _ in range(200):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(socket_path))
    assert client.get("/version")
