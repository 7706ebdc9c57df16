"""Everything that a verdict depends on, as one frozen value: who is there, and which policies stand.

Both readings of policy start from it: evaluate judges one connection against it, the way the specifications are written,
and the compiler makes the kernel's tables of it. gather.py builds it from the store's objects.

An Endpoint is a pod with addresses, of this node or of another; pods of the host's network and finished pods are none.
A policy that cannot be understood is here as one that denies (closed.py), with the reason in `broken`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from agent.objects.attachment import Protocol
from agent.objects.calico.policy import CalicoNetworkPolicy, GlobalNetworkPolicy
from agent.objects.calico.sets import GlobalNetworkSet, NetworkSet
from agent.objects.calico.tier import BUILT_IN_TIERS, Profile, Tier
from agent.objects.calico_selector import NAMESPACE_LABEL
from agent.objects.cluster_network_policy import ClusterNetworkPolicy
from agent.objects.meta import IPAddress, Key
from agent.objects.network_policy import NetworkPolicy

Labels: TypeAlias = Mapping[str, str]
CalicoPolicy: TypeAlias = CalicoNetworkPolicy | GlobalNetworkPolicy
AnyPolicy: TypeAlias = NetworkPolicy | CalicoPolicy | ClusterNetworkPolicy
AnySet: TypeAlias = NetworkSet | GlobalNetworkSet

NAMESPACE_PREFIX, SERVICE_ACCOUNT_PREFIX = "pcns.", "pcsa."
"""Calico's selectors see the labels of a pod's namespace and service account under these prefixes."""

_NAME_LABEL = "projectcalico.org/name"
_NOTHING: Labels = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class NamedPort:
    name: str
    protocol: Protocol
    port: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`labels` are the pod's own; what its namespace and service account add is for `World` to say.

    A pod that only a CNI runtime knows has no labels; its namespace is what the runtime said, "" when it said none.
    """

    namespace: str
    name: str
    addresses: tuple[IPAddress, ...]
    labels: Labels = field(default_factory=lambda: _NOTHING)
    service_account: str = ""
    ports: tuple[NamedPort, ...] = ()
    is_local: bool = True

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class NodePeer:
    """A node as ClusterNetworkPolicy's egress may select it."""

    name: str
    addresses: tuple[IPAddress, ...]
    labels: Labels = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True)
class World:
    """`service_accounts`: labels by (namespace, name). `node_addresses`: this node's own, whose probes always pass.

    `broken`: why an object is not taken at its word, by its key; `stand_ins`: what a policy under another key stands for.
    """

    endpoints: tuple[Endpoint, ...] = ()
    namespaces: Mapping[str, Labels] = field(default_factory=dict)
    service_accounts: Mapping[tuple[str, str], Labels] = field(default_factory=dict)
    nodes: tuple[NodePeer, ...] = ()
    node_addresses: frozenset[IPAddress] = frozenset()
    network_policies: tuple[NetworkPolicy, ...] = ()
    calico_policies: tuple[CalicoPolicy, ...] = ()
    cluster_policies: tuple[ClusterNetworkPolicy, ...] = ()
    tiers: tuple[Tier, ...] = BUILT_IN_TIERS
    sets: tuple[AnySet, ...] = ()
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    broken: Mapping[Key, str] = field(default_factory=dict)
    stand_ins: Mapping[Key, Key] = field(default_factory=dict)

    def origin(self, policy: AnyPolicy) -> Key:
        """The key of the object that a policy comes from."""
        return self.stand_ins.get(policy.key, policy.key)

    def namespace_labels(self, namespace: str) -> Labels:
        return self.namespaces.get(namespace, _NOTHING)

    def profiles_of(self, endpoint: Endpoint) -> tuple[str, ...]:
        """Names; one without an object in `profiles` is built in."""
        account = (f"ksa.{endpoint.namespace}.{endpoint.service_account}",) if endpoint.service_account else ()
        return (f"kns.{endpoint.namespace}", *account)

    def calico_labels(self, endpoint: Endpoint) -> Labels:
        """What Calico's selectors see of a pod: its own labels before inherited ones."""
        account = endpoint.service_account
        own = {"projectcalico.org/orchestrator": "k8s"}
        if endpoint.namespace:
            own[NAMESPACE_LABEL] = endpoint.namespace
        if account:
            own["projectcalico.org/serviceaccount"] = account
        return {**self._inherited(endpoint.namespace, account, self.profiles_of(endpoint)), **endpoint.labels, **own}

    def calico_set_labels(self, nets: AnySet) -> Labels:
        """What Calico's selectors see of a set: one in a namespace has that one's labels too."""
        namespace = nets.metadata.namespace
        if not namespace:
            return nets.metadata.labels
        return {**self._inherited(namespace, "", (f"kns.{namespace}",)), **nets.metadata.labels, NAMESPACE_LABEL: namespace}

    def _inherited(self, namespace: str, account: str, profiles: tuple[str, ...]) -> dict[str, str]:
        """A profile object takes the place of the labels that the built-in one of its name would give."""
        found: dict[str, str] = {}
        if f"kns.{namespace}" not in self.profiles and namespace:
            found |= {f"{NAMESPACE_PREFIX}{key}": value for key, value in self.namespace_labels(namespace).items()}
            found[NAMESPACE_PREFIX + _NAME_LABEL] = namespace
        if f"ksa.{namespace}.{account}" not in self.profiles and account:
            labels = self.service_accounts.get((namespace, account), _NOTHING)
            found |= {f"{SERVICE_ACCOUNT_PREFIX}{key}": value for key, value in labels.items()}
            found[SERVICE_ACCOUNT_PREFIX + _NAME_LABEL] = account
        for name in profiles:
            found |= self.profiles[name].spec.labels_to_apply if name in self.profiles else {}
        return found
