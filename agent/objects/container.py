"""One container of a pod (core/v1 Container): every field that Kubernetes 1.33 knows.

What the agent acts on is listed in enforced.py; the rest is kept, so that any manifest survives a round trip.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from agent.objects.attachment import Protocol
from agent.objects.meta import IPAddress, Value
from agent.objects.probe import Lifecycle, Probe
from agent.objects.quantity import Quantity
from agent.objects.security import SecurityContext


class ContainerPort(Value, frozen=True):
    container_port: int
    name: str = ""
    host_port: int | None = None
    protocol: Protocol = Protocol.TCP
    host_ip: IPAddress | None = None


class ObjectFieldSelector(Value, frozen=True):
    field_path: str
    api_version: str = ""


class ResourceFieldSelector(Value, frozen=True):
    resource: str
    container_name: str = ""
    divisor: Quantity | None = None


class KeySelector(Value, frozen=True):
    """One key of a ConfigMap or Secret."""

    key: str
    name: str = ""
    optional: bool | None = None


class FileKeySelector(Value, frozen=True):
    volume_name: str
    path: str
    key: str
    optional: bool | None = None


class EnvVarSource(Value, frozen=True):
    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    config_map_key_ref: KeySelector | None = None
    secret_key_ref: KeySelector | None = None
    file_key_ref: FileKeySelector | None = None


class EnvVar(Value, frozen=True):
    name: str
    value: str = ""
    value_from: EnvVarSource | None = None


class EnvSource(Value, frozen=True):
    """A whole ConfigMap or Secret."""

    name: str = ""
    optional: bool | None = None


class EnvFromSource(Value, frozen=True):
    prefix: str = ""
    config_map_ref: EnvSource | None = None
    secret_ref: EnvSource | None = None


class ResourceClaim(Value, frozen=True):
    name: str
    request: str = ""


class ResourceRequirements(Value, frozen=True):
    limits: dict[str, Quantity] = {}
    requests: dict[str, Quantity] = {}
    claims: tuple[ResourceClaim, ...] = ()

    @property
    def effective_requests(self) -> dict[str, Quantity]:
        """A limit without a request is the request."""
        return {**self.limits, **self.requests}


class ResizePolicy(Value, frozen=True):
    resource_name: str
    restart_policy: Literal["NotRequired", "RestartContainer"]


class ExitCodes(Value, frozen=True):
    operator: Literal["In", "NotIn"]
    values: tuple[int, ...] = ()


class ContainerRestartRule(Value, frozen=True):
    action: Literal["Restart", "RestartAllContainers"]
    exit_codes: ExitCodes | None = None


class MountPropagation(StrEnum):
    NONE = "None"
    HOST_TO_CONTAINER = "HostToContainer"
    BIDIRECTIONAL = "Bidirectional"


class VolumeMount(Value, frozen=True):
    name: str
    mount_path: str
    read_only: bool = False
    recursive_read_only: Literal["Disabled", "IfPossible", "Enabled"] | None = None
    sub_path: str = ""
    sub_path_expr: str = ""
    mount_propagation: MountPropagation = MountPropagation.NONE


class VolumeDevice(Value, frozen=True):
    name: str
    device_path: str


class Container(Value, frozen=True):
    name: str
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    ports: tuple[ContainerPort, ...] = ()
    env_from: tuple[EnvFromSource, ...] = ()
    env: tuple[EnvVar, ...] = ()
    resources: ResourceRequirements = ResourceRequirements()
    resize_policy: tuple[ResizePolicy, ...] = ()
    restart_policy: Literal["Always", "OnFailure", "Never"] | None = None
    restart_policy_rules: tuple[ContainerRestartRule, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()
    volume_devices: tuple[VolumeDevice, ...] = ()
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    termination_message_path: str = ""
    termination_message_policy: Literal["File", "FallbackToLogsOnError"] | None = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    security_context: SecurityContext | None = None
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False


class EphemeralContainer(Container, frozen=True):
    target_container_name: str = ""
