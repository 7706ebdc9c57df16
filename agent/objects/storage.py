"""The agent's own records of storage: pools, the volumes in them, and snapshots. Internal: users meet them as volumes and PVs.

A record is written before what it describes is begun, and says how far it is: what is found after a crash is finished or
undone from the record alone. `metadata.name` is the id, which is also the name of the image file; a caller's name may be
128 bytes of anything, so the id is made from it (volume_id).
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Literal

from agent.objects.meta import Object, Value


class State(StrEnum):
    CREATING = "Creating"
    READY = "Ready"
    DELETING = "Deleting"


class Published(Value, frozen=True):
    """Where a volume is shown, and how."""

    path: str
    access: str
    is_read_only: bool = False


class Staged(Value, frozen=True):
    """Where a volume is mounted, for others to be shown from there. A block volume's path is not used."""

    path: str
    fs_type: str = ""
    mount_flags: tuple[str, ...] = ()
    group: str = ""


class StoragePool(Object, frozen=True, kw_only=True):
    """A directory for images. `image`: the agent made a filesystem of its own for it, in that file, of `size_bytes`.

    `overcommit`: how many bytes of thin volumes are promised for one byte that is free.
    """

    directory: str
    api_version: str = "podwright.io/v1"
    kind: Literal["StoragePool"] = "StoragePool"
    image: str = ""
    size_bytes: int = 0
    overcommit: float = 1.0


class StorageVolume(Object, frozen=True, kw_only=True):
    """`size_bytes` is what it has, `target_bytes` what it is growing to (0: it is not). `fs_type` "": a block volume."""

    name: str
    pool: str
    size_bytes: int
    api_version: str = "podwright.io/v1"
    kind: Literal["StorageVolume"] = "StorageVolume"
    state: State = State.CREATING
    fs_type: str = ""
    fs_uuid: str = ""
    is_thin: bool = False
    target_bytes: int = 0
    parameters: dict[str, str] = {}
    mutable_parameters: dict[str, str] = {}
    source_snapshot: str = ""
    source_volume: str = ""
    needs_growth: bool = False
    staged: Staged | None = None
    published: tuple[Published, ...] = ()
    abnormal: str = ""

    @property
    def id(self) -> str:
        return self.metadata.name

    @property
    def is_ready(self) -> bool:
        return self.state is State.READY

    @property
    def is_block(self) -> bool:
        return not self.fs_type


class StorageSnapshot(Object, frozen=True, kw_only=True):
    """`fs_type` and `size_bytes` are those of the volume when it was taken; `created` is seconds since the epoch."""

    name: str
    pool: str
    source_volume: str
    size_bytes: int
    api_version: str = "podwright.io/v1"
    kind: Literal["StorageSnapshot"] = "StorageSnapshot"
    state: State = State.CREATING
    fs_type: str = ""
    is_thin: bool = False
    created: float = 0.0

    @property
    def id(self) -> str:
        return self.metadata.name

    @property
    def is_ready(self) -> bool:
        return self.state is State.READY


def volume_id(name: str) -> str:
    """A caller's name for a volume gives the same id each time; nothing of it but harmless letters reaches a path."""
    return f"vol-{_digest(name)}"


def snapshot_id(name: str) -> str:
    return f"snap-{_digest(name)}"


def _digest(name: str) -> str:
    return hashlib.blake2b(name.encode(), digest_size=12).hexdigest()
