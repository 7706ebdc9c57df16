"""NetworkPolicy as its specification reads: whom it isolates, and which of its rules match a connection.

All of its rules allow. A peer's pods are those of its namespaces that its labels pick; a named port is looked up at the
connection's destination, under the protocol it was declared for.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent.objects.attachment import Protocol
from agent.objects.calico.rule import Action
from agent.objects.meta import IPAddress
from agent.objects.network_policy import NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, PolicyType
from agent.policy.connection import SCTP, TCP, UDP, Connection
from agent.policy.evaluate.scene import Scene
from agent.policy.world import Endpoint

NUMBERS = {Protocol.TCP: TCP, Protocol.UDP: UDP, Protocol.SCTP: SCTP}


def counts(policy: NetworkPolicy, endpoint: Endpoint, direction: PolicyType) -> bool:
    is_there = policy.metadata.namespace == endpoint.namespace
    return is_there and direction in policy.spec.types and policy.spec.pod_selector.matches(endpoint.labels)


def matching(policy: NetworkPolicy, direction: PolicyType, connection: Connection, scene: Scene) -> Iterator[tuple[int, Action]]:
    namespace, spec = policy.metadata.namespace, policy.spec
    if direction is PolicyType.INGRESS:
        rules = [(rule.from_, rule.ports) for rule in spec.ingress]
    else:
        rules = [(rule.to, rule.ports) for rule in spec.egress]
    far_end = connection.source if direction is PolicyType.INGRESS else connection.destination
    for index, (peers, ports) in enumerate(rules):
        is_peer = not peers or any(_is_peer(peer, namespace, far_end, scene) for peer in peers)
        is_port = not ports or any(_is_port(port, connection, scene) for port in ports)
        if is_peer and is_port:
            yield index, Action.ALLOW


def _is_peer(peer: NetworkPolicyPeer, namespace: str, address: IPAddress, scene: Scene) -> bool:
    if peer.ip_block is not None:
        return address in peer.ip_block.cidr and not any(address in excluded for excluded in peer.ip_block.except_)
    return any(_is_selected(peer, namespace, endpoint, scene) for endpoint in scene.at(address))


def _is_selected(peer: NetworkPolicyPeer, namespace: str, endpoint: Endpoint, scene: Scene) -> bool:
    if peer.namespace_selector is None:
        is_there = endpoint.namespace == namespace
    else:
        is_there = bool(endpoint.namespace) and peer.namespace_selector.matches(scene.world.namespace_labels(endpoint.namespace))
    return is_there and (peer.pod_selector is None or peer.pod_selector.matches(endpoint.labels))


def _is_port(port: NetworkPolicyPort, connection: Connection, scene: Scene) -> bool:
    if connection.protocol != NUMBERS[port.protocol]:
        return False
    if port.port is None:
        return True
    if isinstance(port.port, int):
        return port.port <= connection.destination_port <= (port.end_port or port.port)
    return is_named_port(port.port, connection, scene)


def is_named_port(name: str, connection: Connection, scene: Scene) -> bool:
    """Whether the destination declares a port of this name, and the connection goes to it."""
    return any(
        port.name == name and NUMBERS[port.protocol] == connection.protocol and port.port == connection.destination_port
        for endpoint in scene.at(connection.destination)
        for port in endpoint.ports
    )
