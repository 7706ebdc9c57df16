"""The agent as this driver sees it: one method a call, over the agent's socket.

gRPC answers on several threads and a connection serves one of them at a time, so each thread has its own.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from agent.api import wire_volumes as wire
from agent.api.client import Client

T = TypeVar("T")


class Agent:
    def __init__(self, socket_path: str) -> None:
        self._socket_path = socket_path
        self._local = threading.local()

    def node(self) -> wire.StorageNode:
        return self._ask("GET", "/storage/node", wire.StorageNode)

    def create_volume(self, request: wire.CreateVolume) -> wire.VolumeInfo:
        return self._ask("POST", "/volumes", wire.VolumeInfo, request)

    def delete_volume(self, id: str) -> None:
        self._do("DELETE", _volume(id))

    def volume(self, id: str) -> wire.VolumeInfo:
        return self._ask("GET", _volume(id), wire.VolumeInfo)

    def volumes(self, most: int, start: str) -> wire.VolumePage:
        return self._ask("GET", "/volumes", wire.VolumePage, query=_page(most, start))

    def capacity(self, request: wire.CapacityRequest) -> wire.Capacity:
        return self._ask("POST", "/storage/capacity", wire.Capacity, request)

    def expand_volume(self, id: str, request: wire.ExpandVolume) -> wire.Expanded:
        return self._ask("POST", f"{_volume(id)}/expand", wire.Expanded, request)

    def modify_volume(self, id: str, request: wire.ModifyVolume) -> None:
        self._do("POST", f"{_volume(id)}/modify", request)

    def stage(self, id: str, request: wire.StageVolume) -> None:
        self._do("POST", f"{_volume(id)}/stage", request)

    def unstage(self, id: str, path: str) -> None:
        self._do("POST", f"{_volume(id)}/unstage", wire.AtPath(path=path))

    def publish(self, id: str, request: wire.PublishVolume) -> None:
        self._do("POST", f"{_volume(id)}/publish", request)

    def unpublish(self, id: str, path: str) -> None:
        self._do("POST", f"{_volume(id)}/unpublish", wire.AtPath(path=path))

    def grow(self, id: str, request: wire.GrowVolume) -> wire.Expanded:
        return self._ask("POST", f"{_volume(id)}/grow", wire.Expanded, request)

    def stats(self, id: str, path: str) -> wire.VolumeStats:
        return self._ask("POST", f"{_volume(id)}/stats", wire.VolumeStats, wire.AtPath(path=path))

    def create_snapshot(self, request: wire.CreateSnapshot) -> wire.SnapshotInfo:
        return self._ask("POST", "/snapshots", wire.SnapshotInfo, request)

    def delete_snapshot(self, id: str) -> None:
        self._do("DELETE", f"/snapshots/{quote(id, safe='')}")

    def snapshot(self, id: str) -> wire.SnapshotInfo:
        return self._ask("GET", f"/snapshots/{quote(id, safe='')}", wire.SnapshotInfo)

    def snapshots(self, most: int, start: str, source_volume: str) -> wire.SnapshotPage:
        return self._ask("GET", "/snapshots", wire.SnapshotPage, query={**_page(most, start), "sourceVolume": source_volume})

    def _ask(self, method: str, path: str, wanted: type[T], request: Any = None, query: dict[str, str] | None = None) -> T:
        body = msgspec.json.encode(request) if request is not None else b""
        return msgspec.json.decode(self._client().request(method, path, query, body).body, type=wanted)

    def _do(self, method: str, path: str, request: Any = None) -> None:
        self._client().request(method, path, None, msgspec.json.encode(request) if request is not None else b"")

    def _client(self) -> Client:
        client: Client | None = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = Client(self._socket_path)
        return client


def _volume(id: str) -> str:
    return f"/volumes/{quote(id, safe='')}"


def _page(most: int, start: str) -> dict[str, str]:
    return {"limit": str(most or ""), "start": start}
