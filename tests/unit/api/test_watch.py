"""Watches: what a watcher sees, and that none can hold up the others."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from agent.api.client import Client
from agent.api.edge import Limits
from agent.api.fake import FakeBackend
from agent.api.server import Server
from agent.errors import Expired, InvalidObject
from agent.metrics import API_WATCHES
from agent.store.sqlite import SqliteStore
from tests.unit.api.conftest import DEPLOYMENTS, OWNER, PODS, deployment, pod


def seen(events: Iterator[dict[str, Any]], count: int) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"]["name"]) for event in islice(events, count)]


def test_without_a_version_it_begins_with_what_is_there(client: Client) -> None:
    client.create(PODS, pod("a"))
    watch = client.watch(PODS, timeout_s=5)
    assert seen(watch, 1) == [("ADDED", "a")]
    client.create(PODS, pod("b"))
    client.delete(f"{PODS}/a")
    assert seen(watch, 2) == [("ADDED", "b"), ("DELETED", "a")]


def test_from_a_version_it_misses_nothing_and_repeats_nothing(client: Client) -> None:
    client.create(PODS, pod("a"))
    version = client.get(PODS)["metadata"]["resourceVersion"]
    client.create(PODS, pod("b"))
    client.patch(f"{PODS}/a", {"metadata": {"labels": {"x": "y"}}})
    assert seen(client.watch(PODS, resource_version=version, timeout_s=5), 2) == [("ADDED", "b"), ("MODIFIED", "a")]


def test_only_the_kind_and_namespace_of_the_path(client: Client) -> None:
    watch = client.watch(PODS, timeout_s=5)
    client.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    client.create("/api/v1/namespaces/shop/pods", pod("elsewhere"))
    client.create(DEPLOYMENTS, deployment())
    client.create(PODS, pod("here"))
    assert seen(watch, 1) == [("ADDED", "here")]


def test_objects_enter_and_leave_a_selection(client: Client) -> None:
    client.create(PODS, pod("a", tier="back"))
    watch = client.watch(PODS, {"labelSelector": "tier=front"}, timeout_s=5)

    def change() -> None:
        with Client(client.socket_path) as other:
            other.patch(f"{PODS}/a", {"metadata": {"labels": {"tier": "front"}}})
            other.patch(f"{PODS}/a", {"metadata": {"labels": {"more": "1"}}})
            other.patch(f"{PODS}/a", {"metadata": {"labels": {"tier": "back"}}})
            other.create(PODS, pod("b", tier="back"))
            other.create(PODS, pod("c", tier="front"))

    threading.Timer(0.2, change).start()
    assert seen(watch, 4) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "c")]


def test_an_event_arrives_at_once(client: Client) -> None:
    watch = client.watch(PODS, timeout_s=5)
    threading.Timer(0.3, lambda: Client(client.socket_path).create(PODS, pod())).start()
    start = time.monotonic()
    assert seen(watch, 1) == [("ADDED", "web-1")]
    assert time.monotonic() - start < 0.9, "an event must wake the watcher, not wait for its next look"


def test_bookmarks_tell_how_far_a_quiet_watch_has_come(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.api.watch._BOOKMARK_INTERVAL_S", 0.0)
    version = client.get(PODS)["metadata"]["resourceVersion"]
    client.create(DEPLOYMENTS, deployment())
    newest = client.get(PODS)["metadata"]["resourceVersion"]
    reply = client.request("GET", PODS, {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "1", "timeoutSeconds": "1"})
    assert (
        f'{{"type":"BOOKMARK","object":{{"apiVersion":"v1","kind":"Pod","metadata":{{"resourceVersion":"{newest}"}}}}}}'
        in reply.body.decode()
    )


def test_it_ends_when_asked(client: Client) -> None:
    start = time.monotonic()
    assert list(client.watch(PODS, timeout_s=0.3)) == []
    assert client.request("GET", PODS, {"watch": "1", "timeoutSeconds": "1"}).body == b""
    assert time.monotonic() - start < 3


def test_a_version_that_was_never_given_out_is_expired(client: Client) -> None:
    with pytest.raises(Expired, match="999999"):
        list(client.watch(PODS, resource_version="999999"))
    with pytest.raises(InvalidObject, match="resourceVersion must be a whole number"):
        list(client.watch(PODS, resource_version="abc"))


@pytest.fixture
def forgetful(tmp_path: Path, limits: Limits) -> Iterator[Client]:
    """A server whose store remembers very few events."""
    backend = FakeBackend(SqliteStore(None, history=4))
    with Server(backend, tmp_path / "forgetful.sock", gate=OWNER, limits=limits), Client(tmp_path / "forgetful.sock") as client:
        yield client
    backend.store.close()


def test_a_version_that_is_no_longer_known_is_expired(forgetful: Client) -> None:
    version = forgetful.create(PODS, pod("a"))["metadata"]["resourceVersion"]
    for number in range(20):
        forgetful.patch(f"{PODS}/a", {"metadata": {"labels": {"n": str(number)}}})
    with pytest.raises(Expired, match="are known"):
        list(forgetful.watch(PODS, resource_version=version))


def test_a_watcher_that_never_reads_is_cut_off_and_delays_nobody(server: Server, client: Client, socket_path: Path) -> None:
    client.create(PODS, pod("big"))
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(socket_path))
        silent.sendall(f"GET {PODS}?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        slowest = 0.0
        for number in range(60):
            start = time.monotonic()
            client.patch(f"{PODS}/big", {"metadata": {"annotations": {"filler": f"{number}" + "x" * 20000}}})
            slowest = max(slowest, time.monotonic() - start)
        assert slowest < 0.4
        deadline = time.monotonic() + 5
        while API_WATCHES.value() > 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert API_WATCHES.value() == 0


def test_a_watcher_that_leaves_is_noticed(server: Server, client: Client) -> None:
    watch = client.watch(PODS, timeout_s=30)
    client.create(PODS, pod())
    next(watch)
    assert API_WATCHES.value() == 1
    watch.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 5
    while API_WATCHES.value() > 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert API_WATCHES.value() == 0
