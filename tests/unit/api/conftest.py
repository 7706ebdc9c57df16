"""A live server on a temporary socket, over objects in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.api.client import Client
from agent.api.edge import Limits
from agent.api.fake import FakeBackend
from agent.api.peers import Gate
from agent.api.server import Server

OWNER = Gate(group="readers", group_id=None, owners=frozenset({0, os.geteuid()}))
PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def pod(name: str = "web-1", **labels: str) -> dict[str, Any]:
    metadata = {"name": name} | ({"labels": labels} if labels else {})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": "main", "image": "nginx"}]}}


def deployment(name: str = "web", replicas: int = 2) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "main", "image": "nginx"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
    }


def manifest(*documents: dict[str, Any]) -> bytes:
    """Several documents as one YAML stream (JSON documents are YAML)."""
    return "\n---\n".join(json.dumps(document) for document in documents).encode()


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
