"""What the CSI edge and the command line say to the agent about volumes: requests and answers of /volumes and /snapshots.

Sizes are bytes. A volume's `id` is the agent's; its `name` is what the caller chose and makes creation idempotent.
"""

from __future__ import annotations

from enum import StrEnum

from agent.api.wire import Request, Wire


class Access(StrEnum):
    """CSI's access modes. One node is all there is, so the many-node modes differ only in who may write."""

    SINGLE_NODE_WRITER = "SINGLE_NODE_WRITER"
    SINGLE_NODE_READER_ONLY = "SINGLE_NODE_READER_ONLY"
    MULTI_NODE_READER_ONLY = "MULTI_NODE_READER_ONLY"
    MULTI_NODE_SINGLE_WRITER = "MULTI_NODE_SINGLE_WRITER"
    MULTI_NODE_MULTI_WRITER = "MULTI_NODE_MULTI_WRITER"
    SINGLE_NODE_SINGLE_WRITER = "SINGLE_NODE_SINGLE_WRITER"
    SINGLE_NODE_MULTI_WRITER = "SINGLE_NODE_MULTI_WRITER"


class Capability(Request, frozen=True):
    """How a volume is to be used: as a block device, or mounted. `group`: files belong to this gid."""

    access: Access
    is_block: bool = False
    fs_type: str = ""
    mount_flags: tuple[str, ...] = ()
    group: str = ""


class CreateVolume(Request, frozen=True, kw_only=True):
    """`limit_bytes` 0: none. At most one source. `mutable_parameters` win over `parameters`."""

    name: str
    required_bytes: int = 0
    limit_bytes: int = 0
    is_block: bool = False
    fs_type: str = ""
    parameters: dict[str, str] = {}
    mutable_parameters: dict[str, str] = {}
    source_snapshot: str = ""
    source_volume: str = ""


class VolumeInfo(Wire, frozen=True):
    """`published`: the paths where it is. `abnormal`: what is wrong with it, "" when nothing is."""

    id: str
    name: str
    size_bytes: int
    is_block: bool
    fs_type: str
    pool: str
    parameters: dict[str, str]
    mutable_parameters: dict[str, str]
    source_snapshot: str = ""
    source_volume: str = ""
    published: tuple[str, ...] = ()
    abnormal: str = ""


class VolumePage(Wire, frozen=True):
    """`next` "": the last page."""

    items: tuple[VolumeInfo, ...]
    next: str = ""


class SnapshotInfo(Wire, frozen=True):
    """`created`: seconds since the epoch. `size_bytes`: the least size of a volume restored from it."""

    id: str
    name: str
    source_volume: str
    size_bytes: int
    created: float
    is_ready: bool = True


class SnapshotPage(Wire, frozen=True):
    items: tuple[SnapshotInfo, ...]
    next: str = ""


class CreateSnapshot(Request, frozen=True):
    name: str
    source_volume: str
    parameters: dict[str, str] = {}


class CapacityRequest(Request, frozen=True):
    parameters: dict[str, str] = {}
    fs_type: str = ""
    is_block: bool = False


class Capacity(Wire, frozen=True):
    available_bytes: int
    largest_bytes: int
    smallest_bytes: int


class ExpandVolume(Request, frozen=True):
    required_bytes: int
    limit_bytes: int = 0


class Expanded(Wire, frozen=True):
    """`needs_node`: the filesystem has still to grow, which a mount or /grow does."""

    size_bytes: int
    needs_node: bool


class ModifyVolume(Request, frozen=True):
    mutable_parameters: dict[str, str]


class StageVolume(Request, frozen=True):
    """`path` is a directory that is there."""

    path: str
    capability: Capability


class PublishVolume(Request, frozen=True):
    """`path` is made: a directory, or for a block volume a device. `staging_path` is where it was staged."""

    path: str
    staging_path: str
    capability: Capability
    is_read_only: bool = False


class AtPath(Request, frozen=True):
    path: str


class GrowVolume(Request, frozen=True):
    path: str
    required_bytes: int = 0
    limit_bytes: int = 0


class VolumeStats(Wire, frozen=True):
    """Inodes are 0 for a block volume."""

    total_bytes: int
    used_bytes: int
    available_bytes: int
    total_inodes: int = 0
    used_inodes: int = 0
    available_inodes: int = 0
    abnormal: str = ""


class StorageNode(Wire, frozen=True):
    """`most_volumes` 0: no limit known."""

    name: str
    most_volumes: int
    grows_online: tuple[str, ...]


class CreatePool(Request, frozen=True):
    """Either a directory that is there, or the size of an image to make."""

    name: str
    directory: str = ""
    size_bytes: int = 0
    overcommit: float = 1.0


class PoolInfo(Wire, frozen=True):
    """`available_bytes`: what a new volume may have. `shares_blocks`: a snapshot takes no time and no room."""

    name: str
    directory: str
    total_bytes: int
    free_bytes: int
    available_bytes: int
    volumes: int
    shares_blocks: bool
    overcommit: float
    unknown_files: tuple[str, ...] = ()


class PoolList(Wire, frozen=True):
    items: tuple[PoolInfo, ...]
