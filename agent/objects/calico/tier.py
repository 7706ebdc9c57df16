"""Tiers, in whose order policies are asked; and Profiles, which are asked when no tier has decided.

Three tiers are always there: kube-admin and kube-baseline hold the ClusterNetworkPolicies, `default` the NetworkPolicies
of Kubernetes (at order 1000) and the policies that name no tier.
"""

from __future__ import annotations

from typing import Literal

from agent.objects.calico.policy import CALICO_VERSIONS
from agent.objects.calico.rule import Rule
from agent.objects.meta import Object, ObjectMeta, Value

NETWORK_POLICY_ORDER = 1000.0
"""Where the NetworkPolicies of Kubernetes stand among the policies of the tier `default`."""


class TierSpec(Value, frozen=True):
    """`default_action`: what a tier does with what none of its policies decided. `order` None comes last."""

    order: float | None = None
    default_action: Literal["Deny", "Pass"] = "Deny"


class Tier(Object, frozen=True):
    api_version: str = CALICO_VERSIONS[0]
    kind: Literal["Tier"] = "Tier"
    spec: TierSpec = TierSpec()


ADMIN_TIER = Tier(metadata=ObjectMeta(name="kube-admin"), spec=TierSpec(order=1_000.0, default_action="Pass"))
DEFAULT_TIER = Tier(metadata=ObjectMeta(name="default"), spec=TierSpec(order=1_000_000.0))
BASELINE_TIER = Tier(metadata=ObjectMeta(name="kube-baseline"), spec=TierSpec(order=10_000_000.0, default_action="Pass"))
BUILT_IN_TIERS = (ADMIN_TIER, DEFAULT_TIER, BASELINE_TIER)
BUILT_IN_TIER_NAMES = frozenset(tier.metadata.name for tier in BUILT_IN_TIERS)


class ProfileSpec(Value, frozen=True):
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()
    labels_to_apply: dict[str, str] = {}


class Profile(Object, frozen=True):
    """A pod has the profiles `kns.NAMESPACE` and `ksa.NAMESPACE.SERVICEACCOUNT`, built in unless one of that name exists."""

    api_version: str = CALICO_VERSIONS[0]
    kind: Literal["Profile"] = "Profile"
    spec: ProfileSpec = ProfileSpec()
