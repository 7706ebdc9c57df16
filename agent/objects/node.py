"""A machine that runs pods (core/v1 Node): this one, or another whose pods are remote endpoints."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

import msgspec

from agent.objects.meta import Condition, IPNetwork, Object, Value
from agent.objects.quantity import Quantity
from agent.objects.scheduling import Taint

HOSTNAME_LABEL = "kubernetes.io/hostname"


class NodeAddressType(StrEnum):
    HOSTNAME = "Hostname"
    INTERNAL_IP = "InternalIP"
    EXTERNAL_IP = "ExternalIP"
    INTERNAL_DNS = "InternalDNS"
    EXTERNAL_DNS = "ExternalDNS"


class NodeAddress(Value, frozen=True):
    """`address` is a name or an IP address, as `type` says."""

    type: NodeAddressType
    address: str


class DaemonEndpoint(Value, frozen=True):
    port: int = msgspec.field(name="Port")


class DaemonEndpoints(Value, frozen=True):
    kubelet_endpoint: DaemonEndpoint | None = None


class NodeSwap(Value, frozen=True):
    capacity: int | None = None


class NodeSystemInfo(Value, frozen=True):
    machine_id: str = ""
    system_uuid: str = ""
    boot_id: str = ""
    kernel_version: str = ""
    os_image: str = ""
    container_runtime_version: str = ""
    kubelet_version: str = ""
    kube_proxy_version: str = ""
    operating_system: str = ""
    architecture: str = ""
    swap: NodeSwap | None = None


class ContainerImage(Value, frozen=True):
    names: tuple[str, ...] = ()
    size_bytes: int = 0


class AttachedVolume(Value, frozen=True):
    name: str
    device_path: str


class RuntimeHandlerFeatures(Value, frozen=True):
    recursive_read_only_mounts: bool | None = None
    user_namespaces: bool | None = None


class RuntimeHandler(Value, frozen=True):
    name: str = ""
    features: RuntimeHandlerFeatures | None = None


class NodeFeatures(Value, frozen=True):
    supplemental_groups_policy: bool | None = None


class NodeSpec(Value, frozen=True):
    pod_cidr: IPNetwork | None = None
    pod_cidrs: tuple[IPNetwork, ...] = ()
    provider_id: str = ""
    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()
    config_source: dict[str, Any] | None = None
    external_id: str = ""


class NodeStatus(Value, frozen=True):
    capacity: dict[str, Quantity] = {}
    allocatable: dict[str, Quantity] = {}
    phase: str = ""
    conditions: tuple[Condition, ...] = ()
    addresses: tuple[NodeAddress, ...] = ()
    daemon_endpoints: DaemonEndpoints = DaemonEndpoints()
    node_info: NodeSystemInfo = NodeSystemInfo()
    images: tuple[ContainerImage, ...] = ()
    volumes_in_use: tuple[str, ...] = ()
    volumes_attached: tuple[AttachedVolume, ...] = ()
    config: dict[str, Any] | None = None
    runtime_handlers: tuple[RuntimeHandler, ...] = ()
    features: NodeFeatures | None = None
    declared_features: tuple[str, ...] = ()


class Node(Object, frozen=True):
    api_version: str = "v1"
    kind: Literal["Node"] = "Node"
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()
