"""NetworkPolicy (networking.k8s.io/v1): what may reach the pods of a namespace, and what they may reach.

Policies add up: a pod that one selects in a direction is closed in it but for what some policy allows. `from_` and `to`
empty are any peer, `ports` empty any protocol and port. A peer has an `ip_block`, or a pod selector, a namespace
selector or both; None and the empty selector differ: None is the policy's own namespace, `{}` is all of them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from agent.objects.attachment import Protocol
from agent.objects.meta import CIDR, Condition, Object, Value
from agent.objects.selector import LabelSelector


class PolicyType(StrEnum):
    """A direction, seen from the pod; Calico's policies have the same two."""

    INGRESS = "Ingress"
    EGRESS = "Egress"


class IPBlock(Value, frozen=True):
    cidr: CIDR
    except_: tuple[CIDR, ...] = ()


class NetworkPolicyPort(Value, frozen=True):
    """`port` is a number, or the name of a container's port; None is every port of the protocol. `end_port`: a range."""

    protocol: Protocol = Protocol.TCP
    port: int | str | None = None
    end_port: int | None = None


class NetworkPolicyPeer(Value, frozen=True):
    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    ip_block: IPBlock | None = None


class NetworkPolicyIngressRule(Value, frozen=True):
    from_: tuple[NetworkPolicyPeer, ...] = ()
    ports: tuple[NetworkPolicyPort, ...] = ()


class NetworkPolicyEgressRule(Value, frozen=True):
    to: tuple[NetworkPolicyPeer, ...] = ()
    ports: tuple[NetworkPolicyPort, ...] = ()


class NetworkPolicySpec(Value, frozen=True):
    # A default that comes from a factory is always written: Kubernetes wants to see even the empty one.
    pod_selector: LabelSelector = msgspec.field(default_factory=LabelSelector)
    ingress: tuple[NetworkPolicyIngressRule, ...] = ()
    egress: tuple[NetworkPolicyEgressRule, ...] = ()
    policy_types: tuple[PolicyType, ...] = ()

    @property
    def types(self) -> frozenset[PolicyType]:
        """The directions it closes, those by default too."""
        if self.policy_types:
            return frozenset(self.policy_types)
        return frozenset((PolicyType.INGRESS, PolicyType.EGRESS) if self.egress else (PolicyType.INGRESS,))


class PolicyStatus(Value, frozen=True):
    """Condition `Enforced`: False with the reason when the policy cannot be compiled, and denies in its stead."""

    conditions: tuple[Condition, ...] = ()


class NetworkPolicy(Object, frozen=True):
    api_version: str = "networking.k8s.io/v1"
    kind: Literal["NetworkPolicy"] = "NetworkPolicy"
    spec: NetworkPolicySpec = NetworkPolicySpec()
    status: PolicyStatus = PolicyStatus()
