"""CSI requests to the agent's values: whatever is wrong is said by the field's name, before anything is looked up.

Limits are the specification's ("Size Limits"): 128 bytes for a string, 4 KiB for a map and for the mount flags.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from agent.api import wire_volumes as wire
from agent.errors import InvalidObject
from csi.wire import csi_pb2 as pb

_LONGEST = 128
_LARGEST = 4 << 10
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
CONTEXT_PREFIX = "csi.storage.k8s.io/"
"""What a provisioner adds to parameters and contexts about the object it works for; not the driver's to judge."""

_MODES: Mapping[int, wire.Access] = {
    value: wire.Access(name) for name, value in pb.VolumeCapability.AccessMode.Mode.items() if name != "UNKNOWN"
}


def required(value: str, field: str, longest: int = _LONGEST) -> str:
    """Of an identifier or a name: there, not too long, without control characters."""
    if not value:
        raise InvalidObject(f"{field} is required and missing")
    return _short(value, field, longest)


def path(value: str, field: str) -> str:
    required(value, field, longest=4096)
    if not value.startswith("/"):
        raise InvalidObject(f'{field}: "{value}" is not an absolute path')
    return value


def capability(message: pb.VolumeCapability, is_present: bool, field: str) -> wire.Capability:
    if not is_present:
        raise InvalidObject(f"{field} is required and missing")
    access = _MODES.get(message.access_mode.mode)
    if access is None:
        raise InvalidObject(f"{field}.access_mode.mode is required and missing")
    if not message.WhichOneof("access_type"):
        raise InvalidObject(f"{field}: neither block nor mount is given")
    mount = message.mount
    if sum(len(flag) for flag in mount.mount_flags) > _LARGEST:
        raise InvalidObject(f"{field}.mount.mount_flags: together longer than {_LARGEST} bytes")
    return wire.Capability(
        access=access,
        is_block=message.HasField("block"),
        fs_type=_short(mount.fs_type, f"{field}.mount.fs_type"),
        mount_flags=tuple(mount.mount_flags),
        group=_short(mount.volume_mount_group, f"{field}.mount.volume_mount_group"),
    )


def capabilities(messages: Iterable[pb.VolumeCapability], field: str = "volume_capabilities") -> tuple[wire.Capability, ...]:
    """All that one volume has to serve: it cannot be a device and a filesystem, nor two filesystems."""
    found = tuple(capability(message, True, f"{field}[{index}]") for index, message in enumerate(messages))
    if not found:
        raise InvalidObject(f"{field} is required and missing")
    if len({each.is_block for each in found}) > 1:
        raise InvalidObject(f"{field}: a volume is either block or mount, here both are asked for")
    types = {each.fs_type for each in found if each.fs_type}
    if len(types) > 1:
        raise InvalidObject(f"{field}: a volume has one filesystem, here {' and '.join(sorted(types))} are asked for")
    return found


def create_volume(request: pb.CreateVolumeRequest) -> wire.CreateVolume:
    name = required(request.name, "name")
    asked = capabilities(request.volume_capabilities)
    needed, limit = capacity(request.capacity_range)
    source = request.volume_content_source
    snapshot, volume = source.snapshot.snapshot_id, source.volume.volume_id
    if request.HasField("volume_content_source") and not (snapshot or volume):
        raise InvalidObject("volume_content_source: names neither a snapshot nor a volume")
    return wire.CreateVolume(
        name=name,
        required_bytes=needed,
        limit_bytes=limit,
        is_block=asked[0].is_block,
        fs_type=next((each.fs_type for each in asked if each.fs_type), ""),
        parameters=parameters(request.parameters, "parameters"),
        mutable_parameters=parameters(request.mutable_parameters, "mutable_parameters"),
        source_snapshot=snapshot,
        source_volume=volume,
    )


def create_snapshot(request: pb.CreateSnapshotRequest) -> wire.CreateSnapshot:
    return wire.CreateSnapshot(
        name=required(request.name, "name"),
        source_volume=required(request.source_volume_id, "source_volume_id"),
        parameters=parameters(request.parameters, "parameters"),
    )


def capacity(message: pb.CapacityRange) -> tuple[int, int]:
    """Required and limit in bytes; 0 means not given."""
    needed, limit = message.required_bytes, message.limit_bytes
    if needed < 0 or limit < 0:
        raise InvalidObject("capacity_range: a size is negative")
    if limit and needed > limit:
        raise InvalidObject(f"capacity_range: required_bytes {needed} is more than limit_bytes {limit}")
    return needed, limit


def parameters(given: Mapping[str, str], field: str) -> dict[str, str]:
    """Without what the orchestrator adds for itself."""
    if sum(len(name.encode()) + len(value.encode()) for name, value in given.items()) > _LARGEST:
        raise InvalidObject(f"{field}: together longer than {_LARGEST} bytes")
    return {name: value for name, value in given.items() if not name.startswith(CONTEXT_PREFIX)}


def page(max_entries: int) -> int:
    if max_entries < 0:
        raise InvalidObject(f"max_entries: {max_entries} is negative")
    return max_entries


def unsuitable(volume: wire.VolumeInfo, asked: Sequence[wire.Capability]) -> str:
    """Why the volume cannot serve these capabilities, "" when it can."""
    if any(each.is_block != volume.is_block for each in asked):
        return f"volume {volume.id} is {'block' if volume.is_block else 'mount'}"
    other = next((each.fs_type for each in asked if each.fs_type not in ("", volume.fs_type)), "")
    return f"volume {volume.id} has filesystem {volume.fs_type}, not {other}" if other and not volume.is_block else ""


def _short(value: str, field: str, longest: int = _LONGEST) -> str:
    if len(value.encode()) > longest:
        raise InvalidObject(f"{field}: longer than {longest} bytes")
    if _CONTROL.search(value):
        raise InvalidObject(f"{field}: contains a control character")
    return value
