"""ClusterNetworkPolicy (policy.networking.k8s.io/v1alpha2): an administrator's rules before (Admin) or after (Baseline)
the NetworkPolicies of the namespaces.

Within a tier the lowest priority comes first, within a policy the first rule that matches decides. A direction without
rules is no opinion. Exactly one field of a subject, a peer, a protocol and a port is set; validation holds that.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from agent.objects.meta import CIDR, Object, Value
from agent.objects.network_policy import PolicyStatus
from agent.objects.selector import LabelSelector


class ClusterTier(StrEnum):
    ADMIN = "Admin"
    BASELINE = "Baseline"


class ClusterAction(StrEnum):
    ACCEPT = "Accept"
    DENY = "Deny"
    PASS = "Pass"  # noqa: S105


class NamespacedPods(Value, frozen=True):
    """Pods by their labels, in namespaces by theirs; the empty selector is all."""

    # Defaults that come from a factory are always written: Kubernetes wants to see even the empty one.
    pod_selector: LabelSelector = msgspec.field(default_factory=LabelSelector)
    namespace_selector: LabelSelector = msgspec.field(default_factory=LabelSelector)


class ClusterSubject(Value, frozen=True):
    namespaces: LabelSelector | None = None
    pods: NamespacedPods | None = None


class ClusterPeer(Value, frozen=True):
    """`nodes`, `networks` and `domain_names` only in egress."""

    namespaces: LabelSelector | None = None
    pods: NamespacedPods | None = None
    nodes: LabelSelector | None = None
    networks: tuple[CIDR, ...] = ()
    domain_names: tuple[str, ...] = ()


class ClusterPortRange(Value, frozen=True):
    start: int
    end: int


class ClusterPort(Value, frozen=True):
    number: int | None = None
    range: ClusterPortRange | None = None


class ClusterTransport(Value, frozen=True):
    """TCP, UDP or SCTP; without a port it is all of that protocol."""

    destination_port: ClusterPort | None = None


class ClusterProtocol(Value, frozen=True):
    tcp: ClusterTransport | None = None
    udp: ClusterTransport | None = None
    sctp: ClusterTransport | None = None
    destination_named_port: str = ""


class ClusterIngressRule(Value, frozen=True, kw_only=True):
    name: str = ""
    action: ClusterAction
    from_: tuple[ClusterPeer, ...]
    protocols: tuple[ClusterProtocol, ...] = ()


class ClusterEgressRule(Value, frozen=True, kw_only=True):
    name: str = ""
    action: ClusterAction
    to: tuple[ClusterPeer, ...]
    protocols: tuple[ClusterProtocol, ...] = ()


class ClusterNetworkPolicySpec(Value, frozen=True, kw_only=True):
    tier: ClusterTier
    priority: int
    subject: ClusterSubject
    ingress: tuple[ClusterIngressRule, ...] = ()
    egress: tuple[ClusterEgressRule, ...] = ()


class ClusterNetworkPolicy(Object, frozen=True, kw_only=True):
    spec: ClusterNetworkPolicySpec
    api_version: str = "policy.networking.k8s.io/v1alpha2"
    kind: Literal["ClusterNetworkPolicy"] = "ClusterNetworkPolicy"
    status: PolicyStatus = PolicyStatus()
