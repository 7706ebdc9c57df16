"""The Node service: a volume staged once, published to each pod, measured, grown, and taken away again."""

from __future__ import annotations

from typing import Any

from agent.api import wire_volumes as wire
from csi import validate
from csi.agent import Agent
from csi.controller import TOPOLOGY_KEY, condition
from csi.pending import Pending
from csi.wire import csi_pb2 as pb

_RPC = pb.NodeServiceCapability.RPC
OFFERED = (
    _RPC.STAGE_UNSTAGE_VOLUME,
    _RPC.GET_VOLUME_STATS,
    _RPC.EXPAND_VOLUME,
    _RPC.VOLUME_CONDITION,
    _RPC.SINGLE_NODE_MULTI_WRITER,
    _RPC.VOLUME_MOUNT_GROUP,
)


class Node:
    def __init__(self, agent: Agent, pending: Pending, node_name: str) -> None:
        self._agent, self._pending, self._node_name = agent, pending, node_name

    def NodeGetInfo(self, request: pb.NodeGetInfoRequest, context: Any) -> pb.NodeGetInfoResponse:
        return pb.NodeGetInfoResponse(
            node_id=self._node_name,
            max_volumes_per_node=self._agent.node().most_volumes,
            accessible_topology=pb.Topology(segments={TOPOLOGY_KEY: self._node_name}),
        )

    def NodeGetCapabilities(self, request: pb.NodeGetCapabilitiesRequest, context: Any) -> pb.NodeGetCapabilitiesResponse:
        return pb.NodeGetCapabilitiesResponse(capabilities=[pb.NodeServiceCapability(rpc=_RPC(type=each)) for each in OFFERED])

    def NodeStageVolume(self, request: pb.NodeStageVolumeRequest, context: Any) -> pb.NodeStageVolumeResponse:
        id = validate.required(request.volume_id, "volume_id")
        path = validate.path(request.staging_target_path, "staging_target_path")
        asked = validate.capability(request.volume_capability, request.HasField("volume_capability"), "volume_capability")
        with self._pending.operation(f"volume {id}"):
            self._agent.stage(id, wire.StageVolume(path=path, capability=asked))
        return pb.NodeStageVolumeResponse()

    def NodeUnstageVolume(self, request: pb.NodeUnstageVolumeRequest, context: Any) -> pb.NodeUnstageVolumeResponse:
        id = validate.required(request.volume_id, "volume_id")
        path = validate.path(request.staging_target_path, "staging_target_path")
        with self._pending.operation(f"volume {id}"):
            self._agent.unstage(id, path)
        return pb.NodeUnstageVolumeResponse()

    def NodePublishVolume(self, request: pb.NodePublishVolumeRequest, context: Any) -> pb.NodePublishVolumeResponse:
        id = validate.required(request.volume_id, "volume_id")
        path = validate.path(request.target_path, "target_path")
        asked = validate.capability(request.volume_capability, request.HasField("volume_capability"), "volume_capability")
        staging = request.staging_target_path and validate.path(request.staging_target_path, "staging_target_path")
        wanted = wire.PublishVolume(path=path, staging_path=staging, capability=asked, is_read_only=request.readonly)
        with self._pending.operation(f"volume {id} at {path}"):
            self._agent.publish(id, wanted)
        return pb.NodePublishVolumeResponse()

    def NodeUnpublishVolume(self, request: pb.NodeUnpublishVolumeRequest, context: Any) -> pb.NodeUnpublishVolumeResponse:
        id = validate.required(request.volume_id, "volume_id")
        path = validate.path(request.target_path, "target_path")
        with self._pending.operation(f"volume {id} at {path}"):
            self._agent.unpublish(id, path)
        return pb.NodeUnpublishVolumeResponse()

    def NodeGetVolumeStats(self, request: pb.NodeGetVolumeStatsRequest, context: Any) -> pb.NodeGetVolumeStatsResponse:
        """A path that is not one of the volume's is not found, whatever its text."""
        id = validate.required(request.volume_id, "volume_id")
        found = self._agent.stats(id, validate.required(request.volume_path, "volume_path", longest=4096))
        unit = pb.VolumeUsage
        usage = [
            unit(unit=unit.BYTES, total=found.total_bytes, used=found.used_bytes, available=found.available_bytes),
        ]
        if found.total_inodes:
            usage.append(unit(unit=unit.INODES, total=found.total_inodes, used=found.used_inodes, available=found.available_inodes))
        return pb.NodeGetVolumeStatsResponse(usage=usage, volume_condition=condition(found.abnormal))

    def NodeExpandVolume(self, request: pb.NodeExpandVolumeRequest, context: Any) -> pb.NodeExpandVolumeResponse:
        id = validate.required(request.volume_id, "volume_id")
        path = validate.required(request.volume_path, "volume_path", longest=4096)
        needed, limit = validate.capacity(request.capacity_range)
        with self._pending.operation(f"volume {id}"):
            found = self._agent.grow(id, wire.GrowVolume(path=path, required_bytes=needed, limit_bytes=limit))
        return pb.NodeExpandVolumeResponse(capacity_bytes=found.size_bytes)
