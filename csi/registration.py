"""What a kubelet asks on the plugin's registration socket, and the answer it sends back."""

from __future__ import annotations

from typing import Any

from loguru import logger

from agent.objects.volumes import CSI_DRIVER as DRIVER
from csi.wire import registration_pb2 as pb

SUPPORTED_VERSIONS = ("1.0.0",)
"""Of the plugin interface between kubelet and driver, not of CSI."""


class Registration:
    """`endpoint`: the path of the CSI socket as the kubelet sees it."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def GetInfo(self, request: pb.InfoRequest, context: Any) -> pb.PluginInfo:
        return pb.PluginInfo(type="CSIPlugin", name=DRIVER, endpoint=self._endpoint, supported_versions=SUPPORTED_VERSIONS)

    def NotifyRegistrationStatus(self, request: pb.RegistrationStatus, context: Any) -> pb.RegistrationStatusResponse:
        if request.plugin_registered:
            logger.info("the kubelet registered {}", DRIVER)
        else:
            logger.error("the kubelet did not register {}: {}", DRIVER, request.error)
        return pb.RegistrationStatusResponse()
