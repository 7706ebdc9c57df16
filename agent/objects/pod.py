"""A pod (core/v1 Pod): what a user asks for. What is known of it is in pod_status.py.

Defaults are the API server's, so that readers need not repeat them; a field that equals its default is not written.
What the agent acts on is listed in enforced.py; everything else is kept.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from agent.objects.container import Container, EphemeralContainer, ResourceRequirements
from agent.objects.meta import IPAddress, Object, ObjectMeta, Value
from agent.objects.pod_status import PodPhase, PodStatus
from agent.objects.quantity import Quantity
from agent.objects.reference import LocalObjectReference
from agent.objects.scheduling import Affinity, Toleration, TopologySpreadConstraint
from agent.objects.security import PodSecurityContext
from agent.objects.volumes import Volume

SANDBOX_FINALIZER = "podwright.io/sandbox"
"""Holds a pod of this node in the store until its sandbox is gone."""
SANDBOXED_CONDITION = "PodReadyToStartContainers"


class RestartPolicy(StrEnum):
    ALWAYS = "Always"
    ON_FAILURE = "OnFailure"
    NEVER = "Never"


class DNSPolicy(StrEnum):
    CLUSTER_FIRST = "ClusterFirst"
    CLUSTER_FIRST_WITH_HOST_NET = "ClusterFirstWithHostNet"
    DEFAULT = "Default"
    NONE = "None"


class DNSOption(Value, frozen=True):
    name: str
    value: str | None = None


class DNSConfig(Value, frozen=True):
    nameservers: tuple[IPAddress, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[DNSOption, ...] = ()


class HostAlias(Value, frozen=True):
    ip: IPAddress
    hostnames: tuple[str, ...] = ()


class ReadinessGate(Value, frozen=True):
    condition_type: str


class SchedulingGate(Value, frozen=True):
    name: str


class PodOS(Value, frozen=True):
    name: Literal["linux", "windows"]


class PodResourceClaim(Value, frozen=True):
    name: str
    resource_claim_name: str | None = None
    resource_claim_template_name: str | None = None


class PodSpec(Value, frozen=True):
    containers: tuple[Container, ...]
    init_containers: tuple[Container, ...] = ()
    ephemeral_containers: tuple[EphemeralContainer, ...] = ()
    volumes: tuple[Volume, ...] = ()
    restart_policy: RestartPolicy = RestartPolicy.ALWAYS
    termination_grace_period_seconds: int = 30
    active_deadline_seconds: int | None = None
    dns_policy: DNSPolicy = DNSPolicy.CLUSTER_FIRST
    dns_config: DNSConfig | None = None
    node_name: str = ""
    node_selector: dict[str, str] = {}
    service_account_name: str = ""
    service_account: str = ""
    automount_service_account_token: bool | None = None
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    host_users: bool | None = None
    share_process_namespace: bool = False
    security_context: PodSecurityContext = PodSecurityContext()
    image_pull_secrets: tuple[LocalObjectReference, ...] = ()
    hostname: str = ""
    hostname_override: str | None = None
    subdomain: str = ""
    set_hostname_as_fqdn: bool = False
    host_aliases: tuple[HostAlias, ...] = ()
    affinity: Affinity | None = None
    tolerations: tuple[Toleration, ...] = ()
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] = ()
    scheduler_name: str = ""
    scheduling_gates: tuple[SchedulingGate, ...] = ()
    priority_class_name: str = ""
    priority: int | None = None
    preemption_policy: Literal["PreemptLowerPriority", "Never"] | None = None
    readiness_gates: tuple[ReadinessGate, ...] = ()
    runtime_class_name: str = ""
    enable_service_links: bool | None = None
    overhead: dict[str, Quantity] = {}
    os: PodOS | None = None
    resource_claims: tuple[PodResourceClaim, ...] = ()
    resources: ResourceRequirements | None = None


class PodTemplateSpec(Value, frozen=True, kw_only=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec


class Pod(Object, frozen=True, kw_only=True):
    spec: PodSpec
    api_version: str = "v1"
    kind: Literal["Pod"] = "Pod"
    status: PodStatus = PodStatus()

    @property
    def is_finished(self) -> bool:
        return self.status.phase in (PodPhase.SUCCEEDED, PodPhase.FAILED)

    @property
    def is_sandboxed(self) -> bool:
        """Its namespaces and its network stand."""
        return any(c.type == SANDBOXED_CONDITION and c.status == "True" for c in self.status.conditions)
