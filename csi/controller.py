"""The Controller service: volumes and snapshots made, found, changed and removed. The agent does it; this is its shape in CSI."""

from __future__ import annotations

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import Int64Value

from agent.api import wire_volumes as wire
from agent.errors import Conflict, Exhausted, InvalidObject, NotFound
from csi import validate
from csi.agent import Agent
from csi.pending import Pending
from csi.wire import csi_pb2 as pb

TOPOLOGY_KEY = "topology.podwright.io/node"
_RPC = pb.ControllerServiceCapability.RPC
OFFERED = (
    _RPC.CREATE_DELETE_VOLUME,
    _RPC.LIST_VOLUMES,
    _RPC.GET_CAPACITY,
    _RPC.CREATE_DELETE_SNAPSHOT,
    _RPC.LIST_SNAPSHOTS,
    _RPC.GET_SNAPSHOT,
    _RPC.CLONE_VOLUME,
    _RPC.EXPAND_VOLUME,
    _RPC.LIST_VOLUMES_PUBLISHED_NODES,
    _RPC.VOLUME_CONDITION,
    _RPC.GET_VOLUME,
    _RPC.SINGLE_NODE_MULTI_WRITER,
    _RPC.MODIFY_VOLUME,
)
"""Not PUBLISH_UNPUBLISH_VOLUME: a volume is attached where it is, on its one node, by staging it."""


class Controller:
    def __init__(self, agent: Agent, pending: Pending, node_name: str) -> None:
        self._agent, self._pending, self._node_name = agent, pending, node_name

    def ControllerGetCapabilities(self, request: pb.ControllerGetCapabilitiesRequest, context: Any) -> pb.ControllerGetCapabilitiesResponse:
        capabilities = [pb.ControllerServiceCapability(rpc=_RPC(type=each)) for each in OFFERED]
        return pb.ControllerGetCapabilitiesResponse(capabilities=capabilities)

    def CreateVolume(self, request: pb.CreateVolumeRequest, context: Any) -> pb.CreateVolumeResponse:
        wanted = validate.create_volume(request)
        self._check_topology(request.accessibility_requirements)
        with self._pending.operation(f"volume named {wanted.name}"):
            return pb.CreateVolumeResponse(volume=self._volume(self._agent.create_volume(wanted)))

    def DeleteVolume(self, request: pb.DeleteVolumeRequest, context: Any) -> pb.DeleteVolumeResponse:
        id = validate.required(request.volume_id, "volume_id")
        with self._pending.operation(f"volume {id}"):
            self._agent.delete_volume(id)
        return pb.DeleteVolumeResponse()

    def ValidateVolumeCapabilities(
        self, request: pb.ValidateVolumeCapabilitiesRequest, context: Any
    ) -> pb.ValidateVolumeCapabilitiesResponse:
        """Confirmed only when all that was asked is so; what was confirmed is echoed."""
        id = validate.required(request.volume_id, "volume_id")
        asked = validate.capabilities(request.volume_capabilities)
        volume = self._agent.volume(id)
        problem = validate.unsuitable(volume, asked) or _differs(request, volume)
        if problem:
            return pb.ValidateVolumeCapabilitiesResponse(message=problem)
        confirmed = pb.ValidateVolumeCapabilitiesResponse.Confirmed(
            volume_context=request.volume_context,
            volume_capabilities=request.volume_capabilities,
            parameters=request.parameters,
            mutable_parameters=request.mutable_parameters,
        )
        return pb.ValidateVolumeCapabilitiesResponse(confirmed=confirmed)

    def ListVolumes(self, request: pb.ListVolumesRequest, context: Any) -> pb.ListVolumesResponse:
        page = self._agent.volumes(validate.page(request.max_entries), _token(request.starting_token))
        entry = pb.ListVolumesResponse.Entry
        entries = [entry(volume=self._volume(each), status=self._list_status(each)) for each in page.items]
        return pb.ListVolumesResponse(entries=entries, next_token=page.next)

    def ControllerGetVolume(self, request: pb.ControllerGetVolumeRequest, context: Any) -> pb.ControllerGetVolumeResponse:
        volume = self._agent.volume(validate.required(request.volume_id, "volume_id"))
        status = pb.ControllerGetVolumeResponse.VolumeStatus(
            published_node_ids=self._nodes(volume), volume_condition=condition(volume.abnormal)
        )
        return pb.ControllerGetVolumeResponse(volume=self._volume(volume), status=status)

    def GetCapacity(self, request: pb.GetCapacityRequest, context: Any) -> pb.GetCapacityResponse:
        asked = validate.capabilities(request.volume_capabilities) if request.volume_capabilities else ()
        if request.HasField("accessible_topology") and not self._is_here(request.accessible_topology):
            return pb.GetCapacityResponse(available_capacity=0)
        found = self._agent.capacity(
            wire.CapacityRequest(
                parameters=validate.parameters(request.parameters, "parameters"),
                fs_type=next((each.fs_type for each in asked if each.fs_type), ""),
                is_block=any(each.is_block for each in asked),
            )
        )
        return pb.GetCapacityResponse(
            available_capacity=found.available_bytes,
            maximum_volume_size=Int64Value(value=found.largest_bytes),
            minimum_volume_size=Int64Value(value=found.smallest_bytes),
        )

    def CreateSnapshot(self, request: pb.CreateSnapshotRequest, context: Any) -> pb.CreateSnapshotResponse:
        wanted = validate.create_snapshot(request)
        with self._pending.operation(f"snapshot named {wanted.name}"):
            return pb.CreateSnapshotResponse(snapshot=_snapshot(self._agent.create_snapshot(wanted)))

    def DeleteSnapshot(self, request: pb.DeleteSnapshotRequest, context: Any) -> pb.DeleteSnapshotResponse:
        id = validate.required(request.snapshot_id, "snapshot_id")
        with self._pending.operation(f"snapshot {id}"):
            self._agent.delete_snapshot(id)
        return pb.DeleteSnapshotResponse()

    def GetSnapshot(self, request: pb.GetSnapshotRequest, context: Any) -> pb.GetSnapshotResponse:
        found = self._agent.snapshot(validate.required(request.snapshot_id, "snapshot_id"))
        return pb.GetSnapshotResponse(snapshot=_snapshot(found))

    def ListSnapshots(self, request: pb.ListSnapshotsRequest, context: Any) -> pb.ListSnapshotsResponse:
        """One that is asked for by id and is not there is an empty list, not an error."""
        most = validate.page(request.max_entries)
        if request.snapshot_id:
            page = self._one_snapshot(request.snapshot_id)
        else:
            page = self._agent.snapshots(most, _token(request.starting_token), request.source_volume_id)
        entries = [pb.ListSnapshotsResponse.Entry(snapshot=_snapshot(each)) for each in page.items]
        return pb.ListSnapshotsResponse(entries=entries, next_token=page.next)

    def ControllerExpandVolume(self, request: pb.ControllerExpandVolumeRequest, context: Any) -> pb.ControllerExpandVolumeResponse:
        id = validate.required(request.volume_id, "volume_id")
        if not request.HasField("capacity_range"):
            raise InvalidObject("capacity_range is required and missing")
        needed, limit = validate.capacity(request.capacity_range)
        with self._pending.operation(f"volume {id}"):
            found = self._agent.expand_volume(id, wire.ExpandVolume(required_bytes=needed, limit_bytes=limit))
        return pb.ControllerExpandVolumeResponse(capacity_bytes=found.size_bytes, node_expansion_required=found.needs_node)

    def ControllerModifyVolume(self, request: pb.ControllerModifyVolumeRequest, context: Any) -> pb.ControllerModifyVolumeResponse:
        id = validate.required(request.volume_id, "volume_id")
        wanted = wire.ModifyVolume(mutable_parameters=validate.parameters(request.mutable_parameters, "mutable_parameters"))
        with self._pending.operation(f"volume {id}"):
            self._agent.modify_volume(id, wanted)
        return pb.ControllerModifyVolumeResponse()

    def _one_snapshot(self, id: str) -> wire.SnapshotPage:
        try:
            return wire.SnapshotPage(items=(self._agent.snapshot(id),))
        except NotFound:
            return wire.SnapshotPage(items=())

    def _volume(self, volume: wire.VolumeInfo) -> pb.Volume:
        found = pb.Volume(
            volume_id=volume.id,
            capacity_bytes=volume.size_bytes,
            accessible_topology=[pb.Topology(segments={TOPOLOGY_KEY: self._node_name})],
        )
        if volume.source_snapshot:
            found.content_source.snapshot.snapshot_id = volume.source_snapshot
        elif volume.source_volume:
            found.content_source.volume.volume_id = volume.source_volume
        return found

    def _list_status(self, volume: wire.VolumeInfo) -> pb.ListVolumesResponse.VolumeStatus:
        return pb.ListVolumesResponse.VolumeStatus(published_node_ids=self._nodes(volume), volume_condition=condition(volume.abnormal))

    def _nodes(self, volume: wire.VolumeInfo) -> list[str]:
        return [self._node_name] if volume.published else []

    def _check_topology(self, wanted: pb.TopologyRequirement) -> None:
        if wanted.requisite and not any(self._is_here(each) for each in wanted.requisite):
            raise Exhausted(f"no topology that is asked for is this node: {TOPOLOGY_KEY}={self._node_name}")

    def _is_here(self, topology: pb.Topology) -> bool:
        return topology.segments.get(TOPOLOGY_KEY, self._node_name) == self._node_name


def condition(abnormal: str) -> pb.VolumeCondition:
    return pb.VolumeCondition(abnormal=bool(abnormal), message=abnormal or "the volume is well")


def _snapshot(found: wire.SnapshotInfo) -> pb.Snapshot:
    seconds, part = divmod(found.created, 1)
    return pb.Snapshot(
        snapshot_id=found.id,
        source_volume_id=found.source_volume,
        size_bytes=found.size_bytes,
        creation_time=Timestamp(seconds=int(seconds), nanos=int(part * 1e9)),
        ready_to_use=found.is_ready,
    )


def _token(text: str) -> str:
    """Tokens are ours: a page begins after an id. One we never gave is ABORTED, as the specification has it."""
    if text and not text.isascii():
        raise Conflict(f'starting_token: "{text}" is not one that this driver gave', hint="list from the start")
    return text


def _differs(request: pb.ValidateVolumeCapabilitiesRequest, volume: wire.VolumeInfo) -> str:
    for field, asked, has in (
        ("parameters", request.parameters, volume.parameters),
        ("mutable_parameters", request.mutable_parameters, volume.mutable_parameters),
    ):
        for name, value in validate.parameters(asked, field).items():
            if has.get(name) != value:
                return f'{field}.{name} is "{has.get(name, "")}", not "{value}"'
    return ""
