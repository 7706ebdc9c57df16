"""Calico's policies as its documentation and its own conversion read them.

A selector sees pods and network sets alike, by their labels and those of their namespace and service account (`pcns.`,
`pcsa.`). In a namespaced policy a positive selector means that namespace unless a namespaceSelector says otherwise;
notSelector is never narrowed. A field that is not set asks nothing, each that is set must hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agent.objects.calico.policy import GlobalNetworkPolicy
from agent.objects.calico.rule import Action, EntityRule, ICMPFields, Rule, parse_port, protocol_number
from agent.objects.calico_selector import NAMESPACE_LABEL, Equals, In, Selector, in_namespaces, parse_selector, prefixed
from agent.objects.meta import IPAddress
from agent.objects.network_policy import PolicyType
from agent.policy.connection import Connection
from agent.policy.evaluate.kubernetes import NUMBERS
from agent.policy.evaluate.scene import Scene
from agent.policy.world import NAMESPACE_PREFIX, SERVICE_ACCOUNT_PREFIX, CalicoPolicy, Endpoint, Labels

_SERVICE_ACCOUNT_LABEL = "projectcalico.org/serviceaccount"


def counts(policy: CalicoPolicy, endpoint: Endpoint, direction: PolicyType, scene: Scene) -> bool:
    spec = policy.spec
    if direction not in spec.applies_to:
        return False
    wanted = [parse_selector(spec.selector)]
    if spec.service_account_selector:
        wanted.append(prefixed(parse_selector(spec.service_account_selector), SERVICE_ACCOUNT_PREFIX))
    if isinstance(policy, GlobalNetworkPolicy):
        if policy.spec.do_not_track or policy.spec.pre_dnat:
            return False
        if policy.spec.namespace_selector:
            wanted.append(in_namespaces(prefixed(parse_selector(policy.spec.namespace_selector), NAMESPACE_PREFIX)))
    elif policy.metadata.namespace != endpoint.namespace:
        return False
    return all(selector.matches(scene.calico_labels(endpoint)) for selector in wanted)


def matching(rules: Sequence[Rule], namespace: str, connection: Connection, scene: Scene) -> Iterator[tuple[int, Action]]:
    """`namespace` of the policy, "" for a global one."""
    for index, rule in enumerate(rules):
        if _is_protocol(rule, connection) and all(
            _is_end(end, namespace, address, port, connection.protocol, scene)
            for end, address, port in (
                (rule.source, connection.source, connection.source_port),
                (rule.destination, connection.destination, connection.destination_port),
            )
        ):
            yield index, rule.action


def _is_protocol(rule: Rule, connection: Connection) -> bool:
    if rule.ip_version is not None and connection.source.version != rule.ip_version:
        return False
    if rule.protocol is not None and connection.protocol != protocol_number(rule.protocol):
        return False
    if rule.not_protocol is not None and connection.protocol == protocol_number(rule.not_protocol):
        return False
    is_icmp = rule.icmp is None or _is_icmp(rule.icmp, connection)
    return is_icmp and (rule.not_icmp is None or not _is_icmp(rule.not_icmp, connection))


def _is_icmp(fields: ICMPFields, connection: Connection) -> bool:
    return fields.type in (None, connection.icmp_type) and fields.code in (None, connection.icmp_code)


def _is_end(end: EntityRule, namespace: str, address: IPAddress, port: int, protocol: int, scene: Scene) -> bool:  # noqa: PLR0913, PLR0917
    if end.nets and not any(address in net for net in end.nets):
        return False
    if any(address in net for net in end.not_nets):
        return False
    there = list(_labels_at(address, scene))
    wanted = _selectors(end, namespace)
    if wanted and not any(all(selector.matches(labels) for selector in wanted) for labels in there):
        return False
    if end.not_selector and any(parse_selector(end.not_selector).matches(labels) for labels in there):
        return False
    if end.ports and not any(_is_port(text, address, port, protocol, scene) for text in end.ports):
        return False
    return not any(_is_port(text, address, port, protocol, scene) for text in end.not_ports)


def _labels_at(address: IPAddress, scene: Scene) -> Iterator[Labels]:
    """Of every pod and every network set that has the address."""
    for endpoint in scene.at(address):
        yield scene.calico_labels(endpoint)
    for nets in scene.world.sets:
        if any(address in net for net in nets.spec.nets):
            yield scene.world.calico_set_labels(nets)


def _selectors(end: EntityRule, namespace: str) -> list[Selector]:
    """All must hold of one pod or set; empty asks nothing."""
    found: list[Selector] = []
    accounts = end.service_accounts
    if accounts is not None and accounts.selector:
        found.append(prefixed(parse_selector(accounts.selector), SERVICE_ACCOUNT_PREFIX))
    if accounts is not None and accounts.names:
        found.append(In(_SERVICE_ACCOUNT_LABEL, accounts.names))
    if end.selector:
        found.append(parse_selector(end.selector))
    if end.namespace_selector:
        found.append(in_namespaces(prefixed(parse_selector(end.namespace_selector), NAMESPACE_PREFIX)))
    elif namespace and (found or end.not_selector):
        found.append(Equals(NAMESPACE_LABEL, namespace))
    return found


def _is_port(text: int | str, address: IPAddress, number: int, protocol: int, scene: Scene) -> bool:
    wanted = parse_port(text)
    if not isinstance(wanted, str):
        return wanted.first <= number <= wanted.last
    return any(
        port.name == wanted and port.port == number and NUMBERS[port.protocol] == protocol
        for endpoint in scene.at(address)
        for port in endpoint.ports
    )
