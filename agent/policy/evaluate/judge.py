"""Walks the tiers and profiles at both ends of a connection, and says what decided.

At the source's end the policies for egress are asked, at the destination's those for ingress; both must allow. Tiers in
their order, in a tier the policies that select the pod in this direction in theirs, in a policy the rules as written:
the first that matches decides. Allow and Deny are final, Pass leaves for the next tier. A tier that had a policy for the
pod and no answer ends with its default action; after the last one the pod's profiles are asked.

A pod is never kept from itself, and never from its own node's probes; towards its node it is judged like towards any
other address.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from agent.objects.calico.rule import Action
from agent.objects.calico.tier import ADMIN_TIER, BASELINE_TIER, DEFAULT_TIER, NETWORK_POLICY_ORDER, Tier
from agent.objects.cluster_network_policy import ClusterNetworkPolicy, ClusterTier
from agent.objects.meta import Key
from agent.objects.network_policy import NetworkPolicy, PolicyType
from agent.policy.connection import Cause, Connection, Decision, RuleReference, Verdict
from agent.policy.evaluate import calico, cluster, kubernetes
from agent.policy.evaluate.scene import Scene
from agent.policy.world import AnyPolicy, Endpoint, World

_KINDS = {
    "NetworkPolicy": "KubernetesNetworkPolicy",
    "CalicoNetworkPolicy": "NetworkPolicy",
    "ClusterNetworkPolicy": "KubernetesClusterNetworkPolicy",
}
"""Calico's words, by which it orders policies of one order and name."""


def evaluate(world: World, connection: Connection) -> Verdict:
    return Judge(world).verdict(connection)


class Judge:
    """For many questions about one World: remembers which policies concern whom."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._scene = Scene(world)
        self._counting: dict[tuple[str, str, PolicyType], list[tuple[Tier, list[AnyPolicy]]]] = {}

    def verdict(self, connection: Connection) -> Verdict:
        source, destination = self._scene.owner(connection.source), self._scene.owner(connection.destination)
        if source is not None and source == destination:
            return Verdict()
        return Verdict(
            None if source is None else self._decide(source, PolicyType.EGRESS, connection),
            None if destination is None else self._decide(destination, PolicyType.INGRESS, connection),
        )

    def subjects(self, key: Key, direction: PolicyType) -> Iterator[Endpoint]:
        """The pods that an object's policy concerns in a direction."""
        policies = [policy for policy in self._policies() if self.world.origin(policy) == key]
        for endpoint in self.world.endpoints:
            if any(self._counts(policy, endpoint, direction) for policy in policies):
                yield endpoint

    def _decide(self, endpoint: Endpoint, direction: PolicyType, connection: Connection) -> Decision:
        if direction is PolicyType.INGRESS and endpoint.is_local and connection.source in self.world.node_addresses:
            return Decision(endpoint, direction, True, Cause.OWN_NODE)
        logged: list[RuleReference] = []
        for tier, policies in self._tiers(endpoint, direction):
            action, reference = self._in_tier(policies, direction, connection, logged)
            name = tier.metadata.name
            if action in (Action.ALLOW, Action.DENY):
                return Decision(endpoint, direction, action is Action.ALLOW, Cause.RULE, name, reference, logged=tuple(logged))
            if action is None and tier.spec.default_action == "Deny":
                asked = tuple(self.world.origin(policy) for policy in policies)
                return Decision(endpoint, direction, False, Cause.END_OF_TIER, name, policies=asked, logged=tuple(logged))
        return self._by_profiles(endpoint, direction, connection, logged)

    def _in_tier(
        self, policies: Sequence[AnyPolicy], direction: PolicyType, connection: Connection, logged: list[RuleReference]
    ) -> tuple[Action | None, RuleReference | None]:
        for policy in policies:
            for index, action in self._matching(policy, direction, connection):
                reference = RuleReference(self.world.origin(policy), index)
                if action is not Action.LOG:
                    return action, reference
                logged.append(reference)
        return None, None

    def _matching(self, policy: AnyPolicy, direction: PolicyType, connection: Connection) -> Iterator[tuple[int, Action]]:
        """The rules of one policy that match, in order."""
        if isinstance(policy, NetworkPolicy):
            return kubernetes.matching(policy, direction, connection, self._scene)
        if isinstance(policy, ClusterNetworkPolicy):
            return cluster.matching(policy, direction, connection, self._scene)
        rules = policy.spec.ingress if direction is PolicyType.INGRESS else policy.spec.egress
        return calico.matching(rules, policy.metadata.namespace, connection, self._scene)

    def _by_profiles(self, endpoint: Endpoint, direction: PolicyType, connection: Connection, logged: list[RuleReference]) -> Decision:
        """A namespace's built-in profile allows; where somebody wrote one of that name, its rules count instead."""
        for name in self.world.profiles_of(endpoint):
            profile = self.world.profiles.get(name)
            if profile is None:
                if name.startswith("kns."):
                    return Decision(endpoint, direction, True, Cause.PROFILE, logged=tuple(logged))
                continue
            rules = profile.spec.ingress if direction is PolicyType.INGRESS else profile.spec.egress
            for index, action in calico.matching(rules, "", connection, self._scene):
                reference = RuleReference(profile.key, index)
                if action is Action.LOG:
                    logged.append(reference)
                else:
                    return Decision(endpoint, direction, action is Action.ALLOW, Cause.PROFILE, "", reference, logged=tuple(logged))
        return Decision(endpoint, direction, False, Cause.NO_PROFILE, logged=tuple(logged))

    def _tiers(self, endpoint: Endpoint, direction: PolicyType) -> list[tuple[Tier, list[AnyPolicy]]]:
        """In order, each with the policies that count for the endpoint in this direction; without one a tier is passed by."""
        asked = (endpoint.namespace, endpoint.name, direction)
        if asked not in self._counting:
            counting = [policy for policy in self._policies() if self._counts(policy, endpoint, direction)]
            tiers = sorted(self.world.tiers, key=lambda tier: (_number(tier.spec.order), tier.metadata.name))
            grouped = [(tier, [policy for policy in counting if tier_of(policy) == tier.metadata.name]) for tier in tiers]
            self._counting[asked] = [(tier, sorted(policies, key=_position)) for tier, policies in grouped if policies]
        return self._counting[asked]

    def _policies(self) -> Iterator[AnyPolicy]:
        yield from self.world.network_policies
        yield from self.world.calico_policies
        yield from self.world.cluster_policies

    def _counts(self, policy: AnyPolicy, endpoint: Endpoint, direction: PolicyType) -> bool:
        if isinstance(policy, NetworkPolicy):
            return kubernetes.counts(policy, endpoint, direction)
        if isinstance(policy, ClusterNetworkPolicy):
            return cluster.counts(policy, endpoint, direction, self._scene)
        return calico.counts(policy, endpoint, direction, self._scene)


def tier_of(policy: AnyPolicy) -> str:
    if isinstance(policy, NetworkPolicy):
        return DEFAULT_TIER.metadata.name
    if isinstance(policy, ClusterNetworkPolicy):
        return (ADMIN_TIER if policy.spec.tier is ClusterTier.ADMIN else BASELINE_TIER).metadata.name
    return policy.spec.tier


def _position(policy: AnyPolicy) -> tuple[float, str]:
    """Where it stands in its tier: by order, then by name, namespace and kind."""
    metadata, kind = policy.metadata, policy.key.kind
    name = f"{metadata.name}/{metadata.namespace}/{_KINDS.get(kind, kind)}"
    if isinstance(policy, NetworkPolicy):
        return NETWORK_POLICY_ORDER, name
    if isinstance(policy, ClusterNetworkPolicy):
        return float(policy.spec.priority), name
    return _number(policy.spec.order), name


def _number(order: float | None) -> float:
    return math.inf if order is None else order
