"""Policies of Kubernetes, Calico and the cluster's administrators to the one form of rules.py. Pure.

Kubernetes' policies stand in the tier `default` at order 1000, as rules that allow; the administrators' in tiers of
their own. Calico's rules name both ends: the far one is the peer, the near one is asked of the subject. A selector of
Calico also picks network sets, by their labels: their nets are put beside it.
What nobody here can judge (domain names) makes an Accept match nothing, and everything else deny all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from ipaddress import ip_network
from typing import NamedTuple

from agent.objects.calico import rule as calico
from agent.objects.calico import tier as calico_tier
from agent.objects.calico.policy import CalicoNetworkPolicy, GlobalNetworkPolicy
from agent.objects.calico.rule import EntityRule, PortRange, parse_port, protocol_number
from agent.objects.calico.tier import NETWORK_POLICY_ORDER
from agent.objects.calico_selector import (
    ALL,
    And,
    Equals,
    Has,
    In,
    Not,
    NotIn,
    Selector,
    in_namespaces,
    parse_selector,
    prefixed,
)
from agent.objects.calico_selector import (
    NAMESPACE_LABEL as CALICO_NAMESPACE,
)
from agent.objects.cluster_network_policy import ClusterNetworkPolicy, ClusterPeer, ClusterProtocol, ClusterTier, NamespacedPods
from agent.objects.meta import IPNetwork, Key
from agent.objects.network_policy import NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, PolicyType
from agent.objects.selector import LabelSelector, Operator
from agent.policy.endpoints import NAMESPACE, NAMESPACE_LABEL, NUMBER
from agent.policy.rules import ANY, Peer, Policy, PolicySet, Ports, Rule, Tier
from agent.policy.traffic import ICMP, ICMPV6, LAST_PORT, SCTP, TCP, UDP, Action, Span, spans
from agent.policy.world import NAMESPACE_PREFIX, SERVICE_ACCOUNT_PREFIX, World

_NOBODY = Peer(nets=())


class Placed(NamedTuple):
    """A policy converted, with its tier. `key` is that of the object that was converted."""

    key: Key
    tier: str
    policy: Policy


def policy_set(world: World) -> PolicySet:
    return in_order(world, placed(world, world))


def placed(world: World, given: World) -> Iterator[Placed]:
    """The policies of `given`, read with the sets and nodes of `world`. Those for host endpoints alone are left out."""
    for kubernetes in given.network_policies:
        yield Placed(kubernetes.key, "default", of_network_policy(kubernetes))
    for each in given.calico_policies:
        if not (isinstance(each, GlobalNetworkPolicy) and (each.spec.do_not_track or each.spec.pre_dnat)):
            yield Placed(each.key, each.spec.tier, of_calico(world, each))
    for admin in given.cluster_policies:
        tier = "kube-admin" if admin.spec.tier is ClusterTier.ADMIN else "kube-baseline"
        yield Placed(admin.key, tier, of_cluster(world, admin))


def in_order(world: World, policies: Iterable[Placed]) -> PolicySet:
    """As they are asked: by tier, by order, by name; and at last the profiles."""
    by_tier: dict[str, list[Policy]] = {tier.metadata.name: [] for tier in world.tiers}
    for each in policies:
        by_tier[each.tier].append(each.policy)
    tiers = sorted(world.tiers, key=lambda tier: (_order(tier.spec.order), tier.metadata.name))
    found = (Tier(tier.metadata.name, tuple(sorted(by_tier[tier.metadata.name], key=_place)), _end(tier)) for tier in tiers)
    return PolicySet((*found, Tier("profiles", tuple(_profiles(world)))))


def _end(tier: calico_tier.Tier) -> Action:
    return Action.PASS if tier.spec.default_action == "Pass" else Action.DENY


def _order(order: float | None) -> float:
    return float("inf") if order is None else order


def _place(policy: Policy) -> tuple[float, str]:
    return policy.order, policy.name


# -- Kubernetes -------------------------------------------------------------------------------------------------------


def of_network_policy(policy: NetworkPolicy) -> Policy:
    namespace, spec = policy.metadata.namespace, policy.spec
    to = (rule for each in spec.ingress for rule in _kubernetes(namespace, each.from_, each.ports))
    from_ = (rule for each in spec.egress for rule in _kubernetes(namespace, each.to, each.ports))
    return Policy(
        name=f"{policy.metadata.name}/{namespace}/KubernetesNetworkPolicy",
        applies_to=_all_of(Equals(NAMESPACE, namespace), *_requirements(spec.pod_selector)),
        rules_to=tuple(to) if PolicyType.INGRESS in spec.types else None,
        rules_from=tuple(from_) if PolicyType.EGRESS in spec.types else None,
        order=NETWORK_POLICY_ORDER,
    )


def _kubernetes(namespace: str, peers: Sequence[NetworkPolicyPeer], ports: Sequence[NetworkPolicyPort]) -> Iterator[Rule]:
    for peer in [_kubernetes_peer(namespace, each) for each in peers] or [ANY]:
        if not ports:
            yield Rule(Action.ALLOW, peer)
        for protocol in dict.fromkeys(each.protocol for each in ports):
            wanted = _kubernetes_ports([each for each in ports if each.protocol is protocol])
            yield Rule(Action.ALLOW, peer, protocol=NUMBER[protocol], ports=wanted)


def _kubernetes_peer(namespace: str, peer: NetworkPolicyPeer) -> Peer:
    if peer.ip_block is not None:
        return Peer(nets=(peer.ip_block.cidr,), not_nets=peer.ip_block.except_)
    where: list[Selector] = [Equals(NAMESPACE, namespace)]
    if peer.namespace_selector is not None:
        where = [Has(NAMESPACE), *_requirements(peer.namespace_selector, NAMESPACE_LABEL)]
    return Peer(_all_of(*where, *_requirements(peer.pod_selector or LabelSelector())))


def _kubernetes_ports(ports: Sequence[NetworkPolicyPort]) -> Ports:
    if any(each.port is None for each in ports):
        return Ports()
    numbers = ((each.port, each.end_port or each.port) for each in ports if isinstance(each.port, int))
    return Ports(spans(numbers), tuple(sorted({each.port for each in ports if isinstance(each.port, str)})))


def _requirements(selector: LabelSelector, prefix: str = "") -> Iterator[Selector]:
    for key, value in sorted(selector.match_labels.items()):
        yield Equals(prefix + key, value)
    for requirement in selector.match_expressions:
        key, values = prefix + requirement.key, tuple(sorted(set(requirement.values)))
        match requirement.operator:
            case Operator.IN:
                yield In(key, values)
            case Operator.NOT_IN:
                yield NotIn(key, values)
            case Operator.EXISTS:
                yield Has(key)
            case Operator.DOES_NOT_EXIST:
                yield Not(Has(key))


def _all_of(*parts: Selector) -> Selector:
    wanted = tuple(part for part in parts if part != ALL)
    return And(wanted) if len(wanted) > 1 else wanted[0] if wanted else ALL


# -- the cluster's administrators -------------------------------------------------------------------------------------


def of_cluster(world: World, policy: ClusterNetworkPolicy) -> Policy:
    spec = policy.spec
    subject = spec.subject.pods or NamespacedPods(namespace_selector=spec.subject.namespaces or LabelSelector())
    to = tuple(rule for each in spec.ingress for rule in _cluster(world, each.action, each.from_, each.protocols))
    from_ = tuple(rule for each in spec.egress for rule in _cluster(world, each.action, each.to, each.protocols))
    return Policy(
        name=f"{policy.metadata.name}//KubernetesClusterNetworkPolicy",
        applies_to=_pods(subject),
        rules_to=to or None,
        rules_from=from_ or None,
        order=float(spec.priority),
    )


def _pods(pods: NamespacedPods) -> Selector:
    where = _requirements(pods.namespace_selector, NAMESPACE_LABEL)
    return _all_of(Has(NAMESPACE), *where, *_requirements(pods.pod_selector))


def _cluster(world: World, action: str, peers: Sequence[ClusterPeer], protocols: Sequence[ClusterProtocol]) -> Iterator[Rule]:
    known = {"Accept": Action.ALLOW, "Deny": Action.DENY, "Pass": Action.PASS}[action]
    for peer in peers:
        found = _cluster_peer(world, peer)
        if found is None:
            yield from () if known is Action.ALLOW else (Rule(Action.DENY),)
            continue
        if not protocols:
            yield Rule(known, found)
        for protocol in protocols:
            yield from (replace(rule, action=known, peer=found) for rule in _cluster_protocol(protocol))


def _cluster_peer(world: World, peer: ClusterPeer) -> Peer | None:
    """None: nothing that can be judged here."""
    if peer.namespaces is not None:
        return Peer(_pods(NamespacedPods(namespace_selector=peer.namespaces)))
    if peer.pods is not None:
        return Peer(_pods(peer.pods))
    if peer.networks:
        return Peer(nets=peer.networks)
    if peer.nodes is not None:
        chosen = (node for node in world.nodes if peer.nodes.matches(node.labels))
        return Peer(nets=tuple(ip_network(address) for node in chosen for address in node.addresses))
    return None


def _cluster_protocol(protocol: ClusterProtocol) -> Iterator[Rule]:
    if protocol.destination_named_port:
        for number in (TCP, UDP, SCTP):
            yield Rule(Action.ALLOW, protocol=number, ports=Ports((), (protocol.destination_named_port,)))
    for number, transport in ((TCP, protocol.tcp), (UDP, protocol.udp), (SCTP, protocol.sctp)):
        if transport is None:
            continue
        port = transport.destination_port
        if port is None:
            yield Rule(Action.ALLOW, protocol=number)
        elif port.range is not None:
            yield Rule(Action.ALLOW, protocol=number, ports=Ports((Span(port.range.start, port.range.end),)))
        elif port.number is not None:
            yield Rule(Action.ALLOW, protocol=number, ports=Ports((Span(port.number, port.number),)))


# -- Calico -----------------------------------------------------------------------------------------------------------


def of_calico(world: World, policy: CalicoNetworkPolicy | GlobalNetworkPolicy) -> Policy:
    spec, namespace = policy.spec, policy.metadata.namespace
    parts = [parse_selector(spec.selector)]
    if namespace:
        parts.append(Equals(CALICO_NAMESPACE, namespace))
    if isinstance(policy, GlobalNetworkPolicy) and policy.spec.namespace_selector:
        parts.append(_in_namespaces(policy.spec.namespace_selector))
    if spec.service_account_selector:
        parts.append(prefixed(parse_selector(spec.service_account_selector), SERVICE_ACCOUNT_PREFIX))
    convert = partial(_calico, world, namespace)
    return Policy(
        name=f"{policy.metadata.name}/{namespace}/{policy.kind}",
        applies_to=_all_of(*parts),
        rules_to=convert(spec.ingress, True) if PolicyType.INGRESS in spec.applies_to else None,
        rules_from=convert(spec.egress, False) if PolicyType.EGRESS in spec.applies_to else None,
        order=_order(spec.order),
    )


def _profiles(world: World) -> Iterator[Policy]:
    """Where a namespace's profile is no longer the built-in one, which allows everything."""
    for name, profile in sorted(world.profiles.items()):
        kind, _, rest = name.partition(".")
        namespace, _, account = rest.partition(".")
        if kind not in ("kns", "ksa") or f"kns.{namespace}" not in world.profiles:
            continue
        where: list[Selector] = [Equals(NAMESPACE, namespace)]
        if kind == "ksa":
            where.append(Equals("projectcalico.org/serviceaccount", account))
        convert = partial(_calico, world, "")
        yield Policy(name, _all_of(*where), convert(profile.spec.ingress, True), convert(profile.spec.egress, False))


def _calico(world: World, namespace: str, rules: Iterable[calico.Rule], is_ingress: bool) -> tuple[Rule, ...]:
    return tuple(_calico_rule(world, namespace, rule, is_ingress) for rule in rules)


def _calico_rule(world: World, namespace: str, rule: calico.Rule, is_ingress: bool) -> Rule:
    source, destination = (_calico_peer(world, namespace, end) for end in (rule.source, rule.destination))
    protocol = None if rule.protocol is None else protocol_number(rule.protocol)
    ports, not_ports = _ports(rule.destination.ports), _not_ports(rule.destination.not_ports)
    if protocol in (ICMP, ICMPV6):
        ports, not_ports = _icmp(rule.icmp) or Ports(), _icmp(rule.not_icmp)
    return Rule(
        action=Action[rule.action.name],
        peer=source if is_ingress else destination,
        own=destination if is_ingress else source,
        protocol=protocol,
        not_protocol=None if rule.not_protocol is None else protocol_number(rule.not_protocol),
        ports=ports,
        not_ports=not_ports,
        source_ports=_ports(rule.source.ports),
        not_source_ports=_not_ports(rule.source.not_ports),
        family=rule.ip_version,
        prefix="calico-packet" if rule.action is calico.Action.LOG else "",
    )


def _calico_peer(world: World, namespace: str, end: EntityRule) -> Peer:
    parts = []
    if end.selector:
        parts.append(parse_selector(end.selector))
    if end.namespace_selector:
        parts.append(_in_namespaces(end.namespace_selector))
    elif namespace and (end.selector or end.not_selector or end.service_accounts):
        parts.append(Equals(CALICO_NAMESPACE, namespace))
    if end.service_accounts is not None:
        if end.service_accounts.selector:
            parts.append(prefixed(parse_selector(end.service_accounts.selector), SERVICE_ACCOUNT_PREFIX))
        if end.service_accounts.names:
            parts.append(In("projectcalico.org/serviceaccount", tuple(sorted(set(end.service_accounts.names)))))
    selector = _all_of(*parts) if parts else None
    not_selector = parse_selector(end.not_selector) if end.not_selector else None
    return Peer(
        selector=selector,
        not_selector=not_selector,
        nets=end.nets or None,
        not_nets=end.not_nets,
        selected=_nets_of_sets(world, selector),
        not_selected=_nets_of_sets(world, not_selector),
    )


def _in_namespaces(text: str) -> Selector:
    return in_namespaces(prefixed(parse_selector(text), NAMESPACE_PREFIX))


def _nets_of_sets(world: World, selector: Selector | None) -> tuple[IPNetwork, ...]:
    if selector is None:
        return ()
    chosen = (each for each in world.sets if selector.matches(world.calico_set_labels(each)))
    return tuple(sorted({net for each in chosen for net in each.spec.nets}, key=_net_order))


def _net_order(net: IPNetwork) -> tuple[int, int, int]:
    return net.version, int(net.network_address), net.prefixlen


def _ports(ports: Sequence[int | str]) -> Ports:
    return _listed(ports) if ports else Ports()


def _not_ports(ports: Sequence[int | str]) -> Ports | None:
    return _listed(ports) if ports else None


def _listed(ports: Sequence[int | str]) -> Ports:
    found = [parse_port(port) for port in ports]
    return Ports(
        spans(port for port in found if isinstance(port, PortRange)), tuple(sorted({port for port in found if isinstance(port, str)}))
    )


def _icmp(fields: calico.ICMPFields | None) -> Ports | None:
    """Types and codes as connection tracking keeps them."""
    if fields is None or fields.type is None:
        return None
    first = fields.type << 8
    return Ports((Span(first, min(first + 255, LAST_PORT)) if fields.code is None else Span(first + fields.code, first + fields.code),))
