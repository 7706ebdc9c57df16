"""Kubernetes' spelling is not regular; every field whose name is not plain camelCase is listed here."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from agent.objects.deployment import Deployment
from agent.objects.meta import wire_name
from agent.objects.namespace import Namespace
from agent.objects.node import Node
from agent.objects.pod import Pod

ODD = {
    "AWSElasticBlockStoreVolume.volumeID",
    "AzureDiskVolume.diskURI",
    "CinderVolume.volumeID",
    "ContainerPort.hostIP",
    "ContainerStateTerminated.containerID",
    "ContainerStatus.containerID",
    "ContainerStatus.imageID",
    "DaemonEndpoint.Port",
    "FibreChannelVolume.targetWWNs",
    "FlockerVolume.datasetUUID",
    "NodeSpec.externalID",
    "NodeSpec.podCIDR",
    "NodeSpec.podCIDRs",
    "NodeSpec.providerID",
    "NodeSystemInfo.bootID",
    "NodeSystemInfo.machineID",
    "NodeSystemInfo.systemUUID",
    "PhotonPersistentDiskVolume.pdID",
    "PodSpec.hostIPC",
    "PodSpec.hostPID",
    "PodSpec.setHostnameAsFQDN",
    "PodStatus.hostIP",
    "PodStatus.hostIPs",
    "PodStatus.podIP",
    "PodStatus.podIPs",
    "PortworxVolume.volumeID",
    "ResourceHealth.resourceID",
    "VSphereVolume.storagePolicyID",
    "Volume.downwardAPI",
    "Volume.scaleIO",
    "VolumeProjection.downwardAPI",
}


def fields(wanted: Any, seen: set[type]) -> Iterator[tuple[str, str, str]]:
    """(class, Python name, wire name) of every field that can occur in `wanted`."""
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct) and wanted not in seen:
        seen.add(wanted)
        for field in msgspec.structs.fields(wanted):
            yield wanted.__name__, field.name, field.encode_name
            yield from fields(field.type, seen)
    for argument in typing.get_args(wanted):
        yield from fields(argument, seen)


def plain_camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def test_every_odd_name_is_known() -> None:
    seen: set[type] = set()
    everything = [found for kind in (Pod, Node, Deployment, Namespace) for found in fields(kind, seen)]
    assert {f"{owner}.{wire}" for owner, name, wire in everything if wire != plain_camel_case(name)} == ODD
    assert len(everything) > 400


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("api_version", "apiVersion"),
        ("cluster_ip", "clusterIP"),
        ("external_ips", "externalIPs"),
        ("fs_group", "fsGroup"),
        ("ip_families", "ipFamilies"),
        ("iscsi_interface", "iscsiInterface"),
        ("qos_class", "qosClass"),
        ("se_linux_options", "seLinuxOptions"),
        ("except_", "except"),
        ("http_get", "httpGet"),
        ("run_as_non_root", "runAsNonRoot"),
        ("uid", "uid"),
        ("os_image", "osImage"),
    ],
)
def test_a_word_in_capitals_is_one_only_after_the_first(name: str, wire: str) -> None:
    assert wire_name(name) == wire
