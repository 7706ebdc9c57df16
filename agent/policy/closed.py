"""What stands in for a policy that cannot be understood: one that denies everything, both ways, to whom it selects.

Such a policy came into the store by another version of the agent, or names a tier that is gone. As much of it as can be
read decides whom it closes and when it is asked; what cannot be read is taken to select all, and to come first.
A NetworkPolicy of Kubernetes can only be closed: it isolates its pods and allows nothing, others may still allow.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from agent.errors import InvalidObject
from agent.objects.calico.policy import CalicoNetworkPolicy, CalicoPolicySpec, GlobalNetworkPolicy, GlobalNetworkPolicySpec
from agent.objects.calico.rule import Action, Rule
from agent.objects.calico.tier import ADMIN_TIER, BASELINE_TIER
from agent.objects.calico_selector import NAMESPACE_LABEL, parse_selector
from agent.objects.cluster_network_policy import ClusterSubject, ClusterTier
from agent.objects.encode import to_document
from agent.objects.meta import Object
from agent.objects.network_policy import NetworkPolicy, NetworkPolicySpec, PolicyType
from agent.objects.selector import LabelSelector, Operator, selector_problems
from agent.policy.world import NAMESPACE_PREFIX

BOTH = (PolicyType.INGRESS, PolicyType.EGRESS)
_DENY = (Rule(action=Action.DENY),)
T = TypeVar("T", bound=msgspec.Struct)


def closed(broken: Object, tiers: Collection[str]) -> NetworkPolicy | CalicoNetworkPolicy | GlobalNetworkPolicy:
    """The policy that takes the place of `broken`: a policy, a set or a profile. `tiers` are those that exist.

    It has the name of what it stands for where that is possible, else a name that no object can have.
    """
    spec = to_document(broken).get("spec")
    fields = spec if isinstance(spec, dict) else {}
    metadata, kind = broken.metadata, broken.key.kind
    if kind == "NetworkPolicy":
        selector = _label_selector(fields.get("podSelector", {}))
        return NetworkPolicy(metadata=metadata, spec=NetworkPolicySpec(pod_selector=selector, policy_types=BOTH))
    order, tier = _place(kind, fields, tiers)
    subject = _subject(kind, fields, metadata.namespace)
    if kind == "CalicoNetworkPolicy":
        own = CalicoPolicySpec(tier=tier, order=order, selector=subject, types=BOTH, ingress=_DENY, egress=_DENY)
        return CalicoNetworkPolicy(metadata=metadata, spec=own)
    name = metadata.name if kind == "GlobalNetworkPolicy" else f"{kind} {metadata.namespace}/{metadata.name}"
    everywhere = GlobalNetworkPolicySpec(tier=tier, order=order, selector=subject, types=BOTH, ingress=_DENY, egress=_DENY)
    return GlobalNetworkPolicy(metadata=replace(metadata, name=name, namespace=""), spec=everywhere)


def _place(kind: str, fields: Mapping[str, Any], tiers: Collection[str]) -> tuple[float | None, str]:
    """(order, tier) of the policy where both can be read, else before everything."""
    first = (-math.inf, ADMIN_TIER.metadata.name)
    if kind == "ClusterNetworkPolicy":
        names = {ClusterTier.ADMIN.value: ADMIN_TIER.metadata.name, ClusterTier.BASELINE.value: BASELINE_TIER.metadata.name}
        tier, order = names.get(str(fields.get("tier")), ""), fields.get("priority")
        return (float(order), tier) if tier and isinstance(order, int) else first
    if kind not in ("CalicoNetworkPolicy", "GlobalNetworkPolicy"):
        return first
    tier, order = fields.get("tier", "default"), fields.get("order")
    is_order = order is None or (isinstance(order, int | float) and not isinstance(order, bool))
    return (order, tier) if tier in tiers and is_order else first


def _subject(kind: str, fields: Mapping[str, Any], namespace: str) -> str:
    """A selector over the labels that Calico's policies see; what cannot be read leaves its condition out."""
    parts = [f"{NAMESPACE_LABEL} == '{namespace}'"] if namespace else []
    if kind == "ClusterNetworkPolicy":
        parts.append(_cluster_subject(fields.get("subject")))
    elif kind in ("CalicoNetworkPolicy", "GlobalNetworkPolicy"):
        parts.append(_readable(fields.get("selector")))
    return " && ".join(f"({part})" for part in parts if part)


def _cluster_subject(raw: Any) -> str:
    subject = _read(raw, ClusterSubject)
    if subject is None:
        return ""
    pods, namespaces = subject.pods, subject.namespaces
    if pods is not None:
        chosen = [label_selector_text(pods.pod_selector), label_selector_text(pods.namespace_selector, NAMESPACE_PREFIX)]
        return " && ".join(part for part in chosen if part)
    return label_selector_text(namespaces, NAMESPACE_PREFIX) if namespaces is not None else ""


def label_selector_text(selector: LabelSelector, prefix: str = "") -> str:
    """Kubernetes' label selector in Calico's language; "" for the empty one."""
    parts = [f"{prefix}{key} == '{value}'" for key, value in selector.match_labels.items()]
    for requirement in selector.match_expressions:
        key, values = prefix + requirement.key, ", ".join(f"'{value}'" for value in requirement.values)
        match requirement.operator:
            case Operator.IN:
                parts.append(f"{key} in {{{values}}}")
            case Operator.NOT_IN:
                parts.append(f"{key} not in {{{values}}}")
            case Operator.EXISTS:
                parts.append(f"has({key})")
            case Operator.DOES_NOT_EXIST:
                parts.append(f"!has({key})")
    return " && ".join(parts)


def _label_selector(raw: Any) -> LabelSelector:
    found = _read(raw, LabelSelector)
    return LabelSelector() if found is None or any(selector_problems(found, "")) else found


def _readable(text: Any) -> str:
    try:
        return str(parse_selector(text)) if isinstance(text, str) else ""
    except InvalidObject:
        return ""


def _read(raw: Any, wanted: type[T]) -> T | None:
    try:
        return msgspec.convert(raw, wanted)
    except msgspec.ValidationError:
        return None
