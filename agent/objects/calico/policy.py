"""Calico's NetworkPolicy and GlobalNetworkPolicy: ordered rules for the endpoints that a selector picks.

Kubernetes has a NetworkPolicy too, so Calico's is the kind "CalicoNetworkPolicy" inside the agent (`key.kind`, the store,
`get caliconetworkpolicies`) and NetworkPolicy in what is written. `order` None comes last. `doNotTrack`, `preDNAT` and
`applyOnForward` concern host endpoints alone: policies with one of the first two never apply to pods.
"""

from __future__ import annotations

from typing import Literal

from agent.objects.calico.rule import Rule
from agent.objects.meta import Key, Object, Value
from agent.objects.network_policy import PolicyStatus, PolicyType

CALICO_VERSIONS = ("projectcalico.org/v3", "crd.projectcalico.org/v1")
DEFAULT_TIER = "default"


class CalicoPolicySpec(Value, frozen=True):
    """What both kinds have. Selectors are texts of calico_selector.py; "" is all()."""

    tier: str = DEFAULT_TIER
    order: float | None = None
    selector: str = ""
    service_account_selector: str = ""
    types: tuple[PolicyType, ...] = ()
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()
    performance_hints: tuple[str, ...] = ()

    @property
    def applies_to(self) -> frozenset[PolicyType]:
        """The directions it counts in, those by default too."""
        if self.types:
            return frozenset(self.types)
        if not self.egress:
            return frozenset((PolicyType.INGRESS,))
        return frozenset((PolicyType.INGRESS, PolicyType.EGRESS) if self.ingress else (PolicyType.EGRESS,))


class GlobalNetworkPolicySpec(CalicoPolicySpec, frozen=True):
    namespace_selector: str = ""
    do_not_track: bool = False
    pre_dnat: bool = False
    apply_on_forward: bool = False


class CalicoNetworkPolicy(Object, frozen=True):
    api_version: str = CALICO_VERSIONS[0]
    kind: Literal["NetworkPolicy"] = "NetworkPolicy"
    spec: CalicoPolicySpec = CalicoPolicySpec()
    status: PolicyStatus = PolicyStatus()

    @property
    def key(self) -> Key:
        return Key("CalicoNetworkPolicy", self.metadata.namespace, self.metadata.name)


class GlobalNetworkPolicy(Object, frozen=True):
    api_version: str = CALICO_VERSIONS[0]
    kind: Literal["GlobalNetworkPolicy"] = "GlobalNetworkPolicy"
    spec: GlobalNetworkPolicySpec = GlobalNetworkPolicySpec()
    status: PolicyStatus = PolicyStatus()
