"""/volumes, /snapshots and /storage: the pool's verbs for the CSI edge and the command line. Pages begin after an id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from agent.api import wire_volumes as wire
from agent.api.call import Answer, Call
from agent.errors import Conflict, InvalidObject
from agent.kernel import filesystem
from agent.objects.storage import Published, Staged, StorageSnapshot, StorageVolume
from agent.volume.pool import parameters
from agent.volume.pool.maker import NewVolume
from agent.volume.pool.volumes import Volumes

_LOOPS = 1 << 20
"""Minor numbers: more volumes cannot be attached."""


class Identified(Protocol):
    @property
    def id(self) -> str: ...


IdentifiedT = TypeVar("IdentifiedT", bound=Identified)


def node(call: Call) -> Answer:
    return Answer(wire.StorageNode(name=call.backend.node_name, most_volumes=_LOOPS, grows_online=filesystem.grows_mounted()))


def capacity(call: Call) -> Answer:
    request = call.body_as(wire.CapacityRequest)
    wanted = parameters.read(request.parameters, request.fs_type, request.is_block)
    available = _volumes(call).catalog.space(wanted.pool).available_bytes
    smallest = parameters.smallest_bytes(wanted.kind)
    return Answer(wire.Capacity(available_bytes=available, largest_bytes=available, smallest_bytes=smallest))


def create(call: Call) -> Answer:
    request = call.body_as(wire.CreateVolume)
    if not request.name:
        raise InvalidObject("name: is required and missing")
    made = _volumes(call).maker.create(
        NewVolume(
            name=request.name,
            required_bytes=request.required_bytes,
            limit_bytes=request.limit_bytes,
            is_block=request.is_block,
            fs_type=request.fs_type,
            parameters=request.parameters,
            mutable=request.mutable_parameters,
            source_snapshot=request.source_snapshot,
            source_volume=request.source_volume,
        )
    )
    return Answer(_volume(made), status=201)


def get(call: Call) -> Answer:
    return Answer(_volume(_volumes(call).catalog.get(call.path["id"])))


def list_(call: Call) -> Answer:
    found = [volume for volume in _volumes(call).catalog.list_() if volume.is_ready]
    page, following = _page(found, call)
    return Answer(wire.VolumePage(items=tuple(_volume(each) for each in page), next=following))


def delete(call: Call) -> Answer:
    _volumes(call).delete(call.path["id"])
    return _done()


def expand(call: Call) -> Answer:
    request = call.body_as(wire.ExpandVolume)
    return _expanded(_volumes(call).expand(call.path["id"], request.required_bytes, request.limit_bytes))


def modify(call: Call) -> Answer:
    request = call.body_as(wire.ModifyVolume)
    return Answer(_volume(_volumes(call).modify(call.path["id"], request.mutable_parameters)))


def stage(call: Call) -> Answer:
    request = call.body_as(wire.StageVolume)
    asked = request.capability
    _refuse_other_kind(_volumes(call).catalog.get(call.path["id"]), asked)
    wanted = Staged(path=request.path, fs_type=asked.fs_type, mount_flags=asked.mount_flags, group=asked.group)
    _volumes(call).stage(call.path["id"], wanted)
    return _done()


def unstage(call: Call) -> Answer:
    _volumes(call).unstage(call.path["id"], call.body_as(wire.AtPath).path)
    return _done()


def publish(call: Call) -> Answer:
    request = call.body_as(wire.PublishVolume)
    _refuse_other_kind(_volumes(call).catalog.get(call.path["id"]), request.capability)
    is_read_only = request.is_read_only or request.capability.access in (
        wire.Access.SINGLE_NODE_READER_ONLY,
        wire.Access.MULTI_NODE_READER_ONLY,
    )
    wanted = Published(path=request.path, access=request.capability.access, is_read_only=is_read_only)
    _volumes(call).publish(call.path["id"], wanted, request.staging_path)
    return _done()


def unpublish(call: Call) -> Answer:
    _volumes(call).unpublish(call.path["id"], call.body_as(wire.AtPath).path)
    return _done()


def grow(call: Call) -> Answer:
    """At a path where the volume is: CSI's node half of an expansion."""
    request = call.body_as(wire.GrowVolume)
    _volumes(call).usage(call.path["id"], request.path)
    return _expanded(_volumes(call).grow(call.path["id"]))


def trim(call: Call) -> Answer:
    _volumes(call).trim(call.path["id"])
    return _done()


def check(call: Call) -> Answer:
    _volumes(call).check(call.path["id"])
    return _done()


def stats(call: Call) -> Answer:
    found = _volumes(call).usage(call.path["id"], call.body_as(wire.AtPath).path)
    return Answer(
        wire.VolumeStats(
            total_bytes=found.total_bytes,
            used_bytes=found.used_bytes,
            available_bytes=found.available_bytes,
            total_inodes=found.inodes,
            used_inodes=found.inodes - found.free_inodes,
            available_inodes=found.free_inodes,
            abnormal=_volumes(call).catalog.get(call.path["id"]).abnormal,
        )
    )


def create_snapshot(call: Call) -> Answer:
    request = call.body_as(wire.CreateSnapshot)
    if request.parameters:
        raise InvalidObject(f"parameters.{next(iter(request.parameters))}: snapshots have no parameters here")
    return Answer(_snapshot(_volumes(call).maker.create_snapshot(request.name, request.source_volume)), status=201)


def get_snapshot(call: Call) -> Answer:
    return Answer(_snapshot(_volumes(call).catalog.snapshot(call.path["id"])))


def list_snapshots(call: Call) -> Answer:
    source = call.query.get("sourceVolume", "")
    found = [each for each in _volumes(call).catalog.snapshots() if each.is_ready and source in ("", each.source_volume)]
    page, following = _page(found, call)
    return Answer(wire.SnapshotPage(items=tuple(_snapshot(each) for each in page), next=following))


def delete_snapshot(call: Call) -> Answer:
    _volumes(call).maker.delete_snapshot(call.path["id"])
    return _done()


def _volumes(call: Call) -> Volumes:
    return call.backend.volumes


def _page(found: Sequence[IdentifiedT], call: Call) -> tuple[Sequence[IdentifiedT], str]:
    """After the id `start`, at most `limit` (0: all); with the id to go on from, "" when this is the last."""
    start, limit = call.query.get("start", ""), call.query.get("limit") or "0"
    if not limit.isdecimal():
        raise InvalidObject(f'limit: "{limit}" is not a number')
    if start and not start.startswith(("vol-", "snap-")):
        raise Conflict(f'"{start}" is not where a page ended', hint="list from the start")
    left = [each for each in found if each.id > start]
    page = left[: int(limit) or len(left)]
    return page, page[-1].id if len(page) < len(left) else ""


def _refuse_other_kind(volume: StorageVolume, asked: wire.Capability) -> None:
    if asked.is_block != volume.is_block:
        raise InvalidObject(f"volume {volume.id} is {'a block' if volume.is_block else 'no block'} volume")


def _done() -> Answer:
    return Answer({})


def _expanded(volume: StorageVolume) -> Answer:
    return Answer(wire.Expanded(size_bytes=volume.size_bytes, needs_node=volume.needs_growth))


def _volume(found: StorageVolume) -> wire.VolumeInfo:
    return wire.VolumeInfo(
        id=found.id,
        name=found.name,
        size_bytes=found.size_bytes,
        is_block=found.is_block,
        fs_type=found.fs_type,
        pool=found.pool,
        parameters=found.parameters,
        mutable_parameters=found.mutable_parameters,
        source_snapshot=found.source_snapshot,
        source_volume=found.source_volume,
        published=tuple(each.path for each in found.published),
        abnormal=found.abnormal,
    )


def _snapshot(found: StorageSnapshot) -> wire.SnapshotInfo:
    return wire.SnapshotInfo(
        id=found.id, name=found.name, source_volume=found.source_volume, size_bytes=found.size_bytes, created=found.created
    )
