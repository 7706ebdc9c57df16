"""The Identity service: who this driver is, what it offers, whether it is ready."""

from __future__ import annotations

from typing import Any

from google.protobuf.wrappers_pb2 import BoolValue

from agent import __version__
from agent.errors import PodwrightError
from agent.objects.volumes import CSI_DRIVER as DRIVER
from csi.agent import Agent
from csi.wire import csi_pb2 as pb

_SERVICE = pb.PluginCapability.Service
_EXPANSION = pb.PluginCapability.VolumeExpansion


class Identity:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def GetPluginInfo(self, request: pb.GetPluginInfoRequest, context: Any) -> pb.GetPluginInfoResponse:
        return pb.GetPluginInfoResponse(name=DRIVER, vendor_version=__version__)

    def GetPluginCapabilities(self, request: pb.GetPluginCapabilitiesRequest, context: Any) -> pb.GetPluginCapabilitiesResponse:
        services = (_SERVICE.CONTROLLER_SERVICE, _SERVICE.VOLUME_ACCESSIBILITY_CONSTRAINTS)
        capabilities = [pb.PluginCapability(service=_SERVICE(type=each)) for each in services]
        capabilities.append(pb.PluginCapability(volume_expansion=_EXPANSION(type=_EXPANSION.ONLINE)))
        return pb.GetPluginCapabilitiesResponse(capabilities=capabilities)

    def Probe(self, request: pb.ProbeRequest, context: Any) -> pb.ProbeResponse:
        """Not ready while the agent is down: it is started again by others, so this is no failure of the driver."""
        try:
            self._agent.node()
        except PodwrightError:
            return pb.ProbeResponse(ready=BoolValue(value=False))
        return pb.ProbeResponse(ready=BoolValue(value=True))
