"""What the types cannot say about the policies of Kubernetes: NetworkPolicy and ClusterNetworkPolicy.

What is wrong here would not merely fail: a port or a range that means nothing makes a rule match less than its author
believes, or more. So it is refused when it is applied, and a policy that slipped into the store all the same is closed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agent.objects.cluster_network_policy import (
    ClusterEgressRule,
    ClusterIngressRule,
    ClusterNetworkPolicy,
    ClusterPeer,
    ClusterPort,
    ClusterProtocol,
    ClusterSubject,
    NamespacedPods,
)
from agent.objects.meta import IPNetwork
from agent.objects.names import port_name_problem
from agent.objects.network_policy import IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort
from agent.objects.selector import selector_problems

MAX_PORT = 65535
_MAX_CLUSTER_ITEMS = 25
_MAX_PRIORITY = 1000
_MAX_RULE_NAME = 100


def network_policy_problems(policy: NetworkPolicy) -> Iterator[str]:
    spec = policy.spec
    yield from selector_problems(spec.pod_selector, "spec.podSelector")
    yield from duplicates([str(direction) for direction in spec.policy_types], "spec.policyTypes")
    for index, ingress in enumerate(spec.ingress):
        yield from _rule_problems(ingress.from_, ingress.ports, f"spec.ingress[{index}]", "from")
    for index, egress in enumerate(spec.egress):
        yield from _rule_problems(egress.to, egress.ports, f"spec.egress[{index}]", "to")


def duplicates(values: Sequence[str], path: str) -> Iterator[str]:
    for index, value in enumerate(values):
        if value in values[:index]:
            yield f'{path}[{index}]: "{value}" is there twice'


def network_problem(network: IPNetwork) -> str:
    """A range of IPv6 that stands for IPv4 addresses would never match a packet."""
    if network.version == 6 and network.network_address.ipv4_mapped is not None:
        return f'"{network}" is an IPv4-mapped range: write it as IPv4'
    return ""


def _rule_problems(peers: Sequence[NetworkPolicyPeer], ports: Sequence[NetworkPolicyPort], path: str, word: str) -> Iterator[str]:
    for index, peer in enumerate(peers):
        yield from _peer_problems(peer, f"{path}.{word}[{index}]")
    for index, port in enumerate(ports):
        yield from _port_problems(port, f"{path}.ports[{index}]")


def _peer_problems(peer: NetworkPolicyPeer, path: str) -> Iterator[str]:
    pods, namespaces, block = peer.pod_selector, peer.namespace_selector, peer.ip_block
    if block is None and pods is None and namespaces is None:
        yield f"{path}: is empty: name pods by podSelector and namespaceSelector, or addresses by ipBlock"
    if block is not None and (pods is not None or namespaces is not None):
        yield f"{path}.ipBlock: cannot stand beside podSelector or namespaceSelector: make it a peer of its own"
    if pods is not None:
        yield from selector_problems(pods, f"{path}.podSelector")
    if namespaces is not None:
        yield from selector_problems(namespaces, f"{path}.namespaceSelector")
    if block is not None:
        yield from _block_problems(block, f"{path}.ipBlock")


def _block_problems(block: IPBlock, path: str) -> Iterator[str]:
    if problem := network_problem(block.cidr):
        yield f"{path}.cidr: {problem}"
    for index, excluded in enumerate(block.except_):
        is_inside = excluded.version == block.cidr.version and excluded.subnet_of(block.cidr)  # type: ignore[arg-type]
        if not is_inside or excluded == block.cidr:
            yield f"{path}.except[{index}]: {excluded} is not a part of {block.cidr}"


def _port_problems(port: NetworkPolicyPort, path: str) -> Iterator[str]:
    if isinstance(port.port, str):
        if problem := port_name_problem(port.port):
            yield f"{path}.port: {problem}"
    elif port.port is not None and not 1 <= port.port <= MAX_PORT:
        yield f"{path}.port: {port.port} is not a port, 1 to {MAX_PORT}"
    if port.end_port is None:
        return
    if not isinstance(port.port, int):
        yield f"{path}.endPort: needs a number as port, the first of the range"
    elif not port.port <= port.end_port <= MAX_PORT:
        yield f"{path}.endPort: {port.end_port} is not between port {port.port} and {MAX_PORT}"


def cluster_policy_problems(policy: ClusterNetworkPolicy) -> Iterator[str]:
    spec = policy.spec
    if not 0 <= spec.priority <= _MAX_PRIORITY:
        yield f"spec.priority: {spec.priority} is not between 0 and {_MAX_PRIORITY}"
    yield from _subject_problems(spec.subject, "spec.subject")
    yield from _length_problems(spec.ingress, "spec.ingress", least=0)
    yield from _length_problems(spec.egress, "spec.egress", least=0)
    for index, ingress in enumerate(spec.ingress):
        yield from _cluster_rule_problems(ingress, ingress.from_, f"spec.ingress[{index}]", "from")
    for index, egress in enumerate(spec.egress):
        yield from _cluster_rule_problems(egress, egress.to, f"spec.egress[{index}]", "to")


def _subject_problems(subject: ClusterSubject, path: str) -> Iterator[str]:
    if (subject.namespaces is None) == (subject.pods is None):
        yield f"{path}: exactly one of namespaces and pods must be there"
    if subject.namespaces is not None:
        yield from selector_problems(subject.namespaces, f"{path}.namespaces")
    yield from _pods_problems(subject.pods, f"{path}.pods")


def _pods_problems(pods: NamespacedPods | None, path: str) -> Iterator[str]:
    if pods is not None:
        yield from selector_problems(pods.pod_selector, f"{path}.podSelector")
        yield from selector_problems(pods.namespace_selector, f"{path}.namespaceSelector")


def _length_problems(items: Sequence[object], path: str, *, least: int) -> Iterator[str]:
    if not least <= len(items) <= _MAX_CLUSTER_ITEMS:
        yield f"{path}: has {len(items)} elements, {f'{least} to' if least else 'at most'} {_MAX_CLUSTER_ITEMS} are allowed"


def _cluster_rule_problems(
    rule: ClusterIngressRule | ClusterEgressRule, peers: Sequence[ClusterPeer], path: str, word: str
) -> Iterator[str]:
    if len(rule.name) > _MAX_RULE_NAME:
        yield f"{path}.name: is {len(rule.name)} characters long, at most {_MAX_RULE_NAME} are allowed"
    yield from _length_problems(peers, f"{path}.{word}", least=1)
    yield from _length_problems(rule.protocols, f"{path}.protocols", least=0)
    for index, peer in enumerate(peers):
        yield from _cluster_peer_problems(peer, f"{path}.{word}[{index}]", is_egress=word == "to")
    has_addresses = any(peer.networks or peer.nodes is not None for peer in peers)
    for index, protocol in enumerate(rule.protocols):
        yield from _protocol_problems(protocol, f"{path}.protocols[{index}]")
        if protocol.destination_named_port and has_addresses:
            yield f"{path}.protocols[{index}].destinationNamedPort: networks and nodes have no named ports, give the number"


def _cluster_peer_problems(peer: ClusterPeer, path: str, *, is_egress: bool) -> Iterator[str]:
    given = {
        "namespaces": peer.namespaces is not None,
        "pods": peer.pods is not None,
        "nodes": peer.nodes is not None,
        "networks": bool(peer.networks),
        "domainNames": bool(peer.domain_names),
    }
    if sum(given.values()) != 1:
        yield f"{path}: exactly one of {', '.join(given if is_egress else list(given)[:2])} must be there"
    for word in ("nodes", "networks"):
        if given[word] and not is_egress:
            yield f"{path}.{word}: is for egress only"
    if peer.domain_names:
        yield f"{path}.domainNames: is not supported yet, give networks"
    for selector, word in ((peer.namespaces, "namespaces"), (peer.nodes, "nodes")):
        if selector is not None:
            yield from selector_problems(selector, f"{path}.{word}")
    yield from _pods_problems(peer.pods, f"{path}.pods")
    yield from _length_problems(peer.networks, f"{path}.networks", least=0)
    for index, network in enumerate(peer.networks):
        if problem := network_problem(network):
            yield f"{path}.networks[{index}]: {problem}"


def _protocol_problems(protocol: ClusterProtocol, path: str) -> Iterator[str]:
    transports = {"tcp": protocol.tcp, "udp": protocol.udp, "sctp": protocol.sctp}
    given = [word for word, transport in transports.items() if transport is not None]
    if len(given) + bool(protocol.destination_named_port) != 1:
        yield f"{path}: exactly one of tcp, udp, sctp and destinationNamedPort must be there"
    if protocol.destination_named_port and (problem := port_name_problem(protocol.destination_named_port)):
        yield f"{path}.destinationNamedPort: {problem}"
    for word, transport in transports.items():
        if transport is not None and transport.destination_port is not None:
            yield from _cluster_port_problems(transport.destination_port, f"{path}.{word}.destinationPort")


def _cluster_port_problems(port: ClusterPort, path: str) -> Iterator[str]:
    if (port.number is None) == (port.range is None):
        yield f"{path}: exactly one of number and range must be there"
    if port.number is not None and not 1 <= port.number <= MAX_PORT:
        yield f"{path}.number: {port.number} is not a port, 1 to {MAX_PORT}"
    if port.range is not None and not 1 <= port.range.start < port.range.end <= MAX_PORT:
        yield f"{path}.range: {port.range.start} to {port.range.end} is not a range of ports, the smaller first"
