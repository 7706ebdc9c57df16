"""What is known of a pod (core/v1 PodStatus): written by the agent, or by another node for its own pods."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from agent.objects.container import ResourceRequirements
from agent.objects.meta import Condition, IPAddress, Value
from agent.objects.quantity import Quantity


class PodPhase(StrEnum):
    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


class PodIP(Value, frozen=True):
    ip: IPAddress


class ContainerStateWaiting(Value, frozen=True):
    reason: str = ""
    message: str = ""


class ContainerStateRunning(Value, frozen=True):
    started_at: str | None = None


class ContainerStateTerminated(Value, frozen=True):
    exit_code: int
    signal: int = 0
    reason: str = ""
    message: str = ""
    started_at: str | None = None
    finished_at: str | None = None
    container_id: str = ""


class ContainerState(Value, frozen=True):
    waiting: ContainerStateWaiting | None = None
    running: ContainerStateRunning | None = None
    terminated: ContainerStateTerminated | None = None


class VolumeMountStatus(Value, frozen=True):
    name: str
    mount_path: str
    read_only: bool = False
    recursive_read_only: str | None = None


class LinuxContainerUser(Value, frozen=True):
    uid: int
    gid: int
    supplemental_groups: tuple[int, ...] = ()


class ContainerUser(Value, frozen=True):
    linux: LinuxContainerUser | None = None


class ResourceHealth(Value, frozen=True):
    resource_id: str
    health: str = ""


class ResourceStatus(Value, frozen=True):
    name: str
    resources: tuple[ResourceHealth, ...] = ()


class ContainerStatus(Value, frozen=True):
    name: str
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()
    ready: bool = False
    restart_count: int = 0
    image: str = ""
    image_id: str = ""
    container_id: str = ""
    started: bool | None = None
    allocated_resources: dict[str, Quantity] = {}
    resources: ResourceRequirements | None = None
    volume_mounts: tuple[VolumeMountStatus, ...] = ()
    user: ContainerUser | None = None
    allocated_resources_status: tuple[ResourceStatus, ...] = ()
    stop_signal: str | None = None


class PodResourceClaimStatus(Value, frozen=True):
    name: str
    resource_claim_name: str | None = None


class ContainerExtendedResourceRequest(Value, frozen=True):
    container_name: str
    resource_name: str
    request_name: str


class ExtendedResourceClaimStatus(Value, frozen=True):
    resource_claim_name: str
    request_mappings: tuple[ContainerExtendedResourceRequest, ...] = ()


class PodStatus(Value, frozen=True):
    """`phase` None: not looked at yet."""

    observed_generation: int = 0
    phase: PodPhase | None = None
    conditions: tuple[Condition, ...] = ()
    message: str = ""
    reason: str = ""
    nominated_node_name: str = ""
    host_ip: IPAddress | None = None
    host_ips: tuple[PodIP, ...] = ()
    pod_ip: IPAddress | None = None
    pod_ips: tuple[PodIP, ...] = ()
    start_time: str | None = None
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    ephemeral_container_statuses: tuple[ContainerStatus, ...] = ()
    qos_class: Literal["Guaranteed", "Burstable", "BestEffort"] | None = None
    resize: str = ""
    resource_claim_statuses: tuple[PodResourceClaimStatus, ...] = ()
    extended_resource_claim_status: ExtendedResourceClaimStatus | None = None
