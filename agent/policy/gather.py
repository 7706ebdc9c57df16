"""The store's objects to a World: which pods are endpoints, which addresses are theirs, which policies can be trusted.

A pod of this node has the addresses of its attachments, which are there before its status says so; a pod of another
node has those that its status brought. A policy is judged again here, by what applying it would judge: what an earlier
version stored is not trusted. Pure; the caller decides what it hands in.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from agent.objects import validate
from agent.objects.attachment import Attachment
from agent.objects.calico.policy import CalicoNetworkPolicy, GlobalNetworkPolicy
from agent.objects.calico.sets import GlobalNetworkSet, NetworkSet
from agent.objects.calico.tier import BUILT_IN_TIERS, Profile, Tier
from agent.objects.cluster_network_policy import ClusterNetworkPolicy
from agent.objects.meta import IPAddress, Key, Object
from agent.objects.namespace import NAME_LABEL, Namespace
from agent.objects.network_policy import NetworkPolicy
from agent.objects.node import Node, NodeAddressType
from agent.objects.opaque import Opaque
from agent.objects.pod import Pod
from agent.objects.pod_status import PodPhase
from agent.objects.unreadable import Unreadable
from agent.policy.closed import closed
from agent.policy.world import Endpoint, NamedPort, NodePeer, World

POLICY_KINDS = (
    "NetworkPolicy",
    "CalicoNetworkPolicy",
    "GlobalNetworkPolicy",
    "ClusterNetworkPolicy",
    "Tier",
    "NetworkSet",
    "GlobalNetworkSet",
    "Profile",
)
KINDS = ("Pod", "Attachment", "Namespace", "Node", "ServiceAccount", *POLICY_KINDS)
"""What a World is made of."""

_NODE_IPS = (NodeAddressType.INTERNAL_IP, NodeAddressType.EXTERNAL_IP)


def world_of(objects: Iterable[Object], *, node_name: str, node_addresses: Iterable[IPAddress] = ()) -> World:
    """`objects`: everything of KINDS, in any order; others are passed over."""
    found = tuple(sorted((thing for thing in objects if thing.key.kind in KINDS), key=lambda thing: thing.key))
    tiers = _tiers(found)
    tier_names = {tier.metadata.name for tier in tiers}
    broken = _broken(found, tier_names)
    # A tier decides nothing by itself: where it is wrong, the policies that name it are broken.
    stand_ins = {thing.key: closed(thing, tier_names) for thing in found if thing.key in broken and thing.key.kind != "Tier"}
    policies = [stand_ins.get(thing.key, thing) for thing in found if thing.key.kind != "Tier"]
    nodes = tuple(_node(node) for node in found if isinstance(node, Node))
    own = {address for node in nodes if node.name == node_name for address in node.addresses}
    return World(
        endpoints=tuple(endpoints_of(found, node_name)),
        namespaces={n.metadata.name: {**n.metadata.labels, NAME_LABEL: n.metadata.name} for n in found if isinstance(n, Namespace)},
        service_accounts={
            (thing.metadata.namespace, thing.metadata.name): thing.metadata.labels
            for thing in found
            if isinstance(thing, Opaque) and thing.kind == "ServiceAccount"
        },
        nodes=nodes,
        node_addresses=frozenset((*node_addresses, *own)),
        network_policies=tuple(thing for thing in policies if isinstance(thing, NetworkPolicy)),
        calico_policies=tuple(thing for thing in policies if isinstance(thing, CalicoNetworkPolicy | GlobalNetworkPolicy)),
        cluster_policies=tuple(thing for thing in policies if isinstance(thing, ClusterNetworkPolicy)),
        tiers=tiers,
        sets=tuple(thing for thing in policies if isinstance(thing, NetworkSet | GlobalNetworkSet)),
        profiles={thing.metadata.name: thing for thing in policies if isinstance(thing, Profile)},
        broken=broken,
        stand_ins={stand_in.key: key for key, stand_in in stand_ins.items() if stand_in.key != key},
    )


def endpoints_of(objects: Iterable[Object], node_name: str) -> Iterator[Endpoint]:
    """Of pods and attachments. An attachment whose pod nobody described is an endpoint without labels."""
    pods = [thing for thing in objects if isinstance(thing, Pod)]
    attached: defaultdict[tuple[str, str], list[IPAddress]] = defaultdict(list)
    for thing in objects:
        if isinstance(thing, Attachment):
            attached[thing.pod.namespace, thing.pod.name or thing.container_id].extend(thing.addresses)
    for pod in pods:
        addresses = attached.pop((pod.metadata.namespace, pod.metadata.name), ())
        if (endpoint := endpoint_of(pod, addresses, node_name)) is not None:
            yield endpoint
    for (namespace, name), addresses in attached.items():
        yield Endpoint(namespace=namespace, name=name, addresses=tuple(addresses))


def endpoint_of(pod: Pod, attached: Iterable[IPAddress], node_name: str) -> Endpoint | None:
    """None for a pod that owns no address: of the host's network, finished, or without one yet."""
    spec, status = pod.spec, pod.status
    is_local = spec.node_name in ("", node_name)
    reported = (*(found.ip for found in status.pod_ips), *((status.pod_ip,) if status.pod_ip else ()))
    addresses = tuple(dict.fromkeys(attached if is_local else reported))
    if spec.host_network or status.phase in (PodPhase.SUCCEEDED, PodPhase.FAILED) or not addresses:
        return None
    return Endpoint(
        namespace=pod.metadata.namespace,
        name=pod.metadata.name,
        addresses=addresses,
        labels=pod.metadata.labels,
        service_account=spec.service_account_name,
        ports=tuple(
            NamedPort(port.name, port.protocol, port.container_port)
            for container in (*spec.containers, *spec.init_containers)
            for port in container.ports
            if port.name
        ),
        is_local=is_local,
    )


def _tiers(objects: Iterable[Object]) -> tuple[Tier, ...]:
    stored = {thing.metadata.name: thing for thing in objects if isinstance(thing, Tier) and not validate.problems(thing)}
    return tuple({**{tier.metadata.name: tier for tier in BUILT_IN_TIERS}, **stored}.values())


def _broken(objects: Iterable[Object], tiers: set[str]) -> Mapping[Key, str]:
    """Why an object is not to be trusted, by its key."""
    reasons = {}
    for thing in objects:
        if thing.key.kind in POLICY_KINDS and (reason := _reason(thing, tiers)):
            reasons[thing.key] = reason
    return reasons


def _reason(thing: Object, tiers: set[str]) -> str:
    if isinstance(thing, Unreadable):
        return thing.reason
    if problems := validate.problems(thing):
        return "; ".join(problems)
    if isinstance(thing, CalicoNetworkPolicy | GlobalNetworkPolicy) and thing.spec.tier not in tiers:
        return f'spec.tier: there is no tier "{thing.spec.tier}"'
    return ""


def _node(node: Node) -> NodePeer:
    written = (entry.address for entry in node.status.addresses if entry.type in _NODE_IPS)
    return NodePeer(node.metadata.name, tuple(address for text in written if (address := _address(text))), node.metadata.labels)


def _address(text: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
