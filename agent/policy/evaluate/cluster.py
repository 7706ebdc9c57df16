"""ClusterNetworkPolicy as its specification reads. A direction without rules is no opinion, so it does not count there."""

from __future__ import annotations

from collections.abc import Iterator

from agent.objects.attachment import Protocol
from agent.objects.calico.rule import Action
from agent.objects.cluster_network_policy import (
    ClusterAction,
    ClusterNetworkPolicy,
    ClusterPeer,
    ClusterProtocol,
    ClusterTransport,
    NamespacedPods,
)
from agent.objects.meta import IPAddress
from agent.objects.network_policy import PolicyType
from agent.objects.selector import LabelSelector
from agent.policy.connection import Connection
from agent.policy.evaluate.kubernetes import NUMBERS, is_named_port
from agent.policy.evaluate.scene import Scene
from agent.policy.world import Endpoint

_ACTIONS = {ClusterAction.ACCEPT: Action.ALLOW, ClusterAction.DENY: Action.DENY, ClusterAction.PASS: Action.PASS}


def counts(policy: ClusterNetworkPolicy, endpoint: Endpoint, direction: PolicyType, scene: Scene) -> bool:
    spec = policy.spec
    has_rules = bool(spec.ingress if direction is PolicyType.INGRESS else spec.egress)
    return has_rules and _is_meant(spec.subject.namespaces, spec.subject.pods, endpoint, scene)


def matching(policy: ClusterNetworkPolicy, direction: PolicyType, connection: Connection, scene: Scene) -> Iterator[tuple[int, Action]]:
    spec = policy.spec
    if direction is PolicyType.INGRESS:
        rules = [(rule.action, rule.from_, rule.protocols) for rule in spec.ingress]
    else:
        rules = [(rule.action, rule.to, rule.protocols) for rule in spec.egress]
    far_end = connection.source if direction is PolicyType.INGRESS else connection.destination
    for index, (action, peers, protocols) in enumerate(rules):
        is_protocol = not protocols or any(_is_protocol(protocol, connection, scene) for protocol in protocols)
        if is_protocol and any(_is_peer(peer, far_end, scene) for peer in peers):
            yield index, _ACTIONS[action]


def _is_meant(namespaces: LabelSelector | None, pods: NamespacedPods | None, endpoint: Endpoint, scene: Scene) -> bool:
    if not endpoint.namespace:
        return False
    labels = scene.world.namespace_labels(endpoint.namespace)
    if pods is not None:
        return pods.namespace_selector.matches(labels) and pods.pod_selector.matches(endpoint.labels)
    return namespaces is not None and namespaces.matches(labels)


def _is_peer(peer: ClusterPeer, address: IPAddress, scene: Scene) -> bool:
    if peer.networks:
        return any(address in network for network in peer.networks)
    if peer.nodes is not None:
        return any(address in node.addresses and peer.nodes.matches(node.labels) for node in scene.world.nodes)
    return any(_is_meant(peer.namespaces, peer.pods, endpoint, scene) for endpoint in scene.at(address))


def _is_protocol(protocol: ClusterProtocol, connection: Connection, scene: Scene) -> bool:
    if protocol.destination_named_port:
        return is_named_port(protocol.destination_named_port, connection, scene)
    for name, transport in ((Protocol.TCP, protocol.tcp), (Protocol.UDP, protocol.udp), (Protocol.SCTP, protocol.sctp)):
        if transport is not None:
            return connection.protocol == NUMBERS[name] and _is_port(transport, connection.destination_port)
    return False


def _is_port(transport: ClusterTransport, number: int) -> bool:
    port = transport.destination_port
    if port is None:
        return True
    if port.range is not None:
        return port.range.start <= number <= port.range.end
    return port.number == number
