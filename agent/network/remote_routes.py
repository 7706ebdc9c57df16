"""Routes to the pods of other nodes: each pod CIDR of a Node object by way of that node's InternalIP of the family. Pure.

The next hop must be on a link of this node, nothing is encapsulated. A range that would take packets from this node's
pods, from another route or from the next hop itself is refused. Routes that are ours (by protocol) and lead by a
gateway are these and no others, so a fresh agent adopts them, and a node that is removed takes its routes along.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from agent.kernel import route
from agent.kernel.netlink import Request
from agent.kernel.route import RTPROT_PODWRIGHT, Address, Route
from agent.objects.meta import IPAddress, IPNetwork
from agent.objects.node import Node, NodeAddressType


@dataclass(frozen=True, slots=True)
class Remote:
    """A range of pods on another node, and that node's address."""

    node: str
    cidr: IPNetwork
    gateway: IPAddress

    def __str__(self) -> str:
        return f"{self.cidr} of node {self.node} via {self.gateway}"


@dataclass(frozen=True, slots=True)
class Change:
    """What is wanted is added before anything is removed."""

    added: tuple[Request, ...]
    removed: tuple[Request, ...]
    refused: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(str(request) for request in (*self.added, *self.removed))


def remotes(nodes: Iterable[Node], own_name: str, own_cidrs: Sequence[IPNetwork]) -> tuple[Remote, ...]:
    """Of every other node; ranges that overlap this node's are left out, and told by `refused`."""
    return tuple(each for each in _all(nodes, own_name) if not _is_ours(each, own_cidrs))


def refused(nodes: Iterable[Node], own_name: str, own_cidrs: Sequence[IPNetwork]) -> tuple[str, ...]:
    return tuple(f"no route to {each}: it overlaps this node's pod CIDRs" for each in _all(nodes, own_name) if _is_ours(each, own_cidrs))


def plan(wanted: Iterable[Remote], routes: Sequence[Route], addresses: Sequence[Address]) -> Change:
    there = {each.destination: each for each in routes if each.protocol == RTPROT_PODWRIGHT and each.gateway is not None}
    foreign = [each for each in routes if each.protocol != RTPROT_PODWRIGHT and each.destination.prefixlen]
    added, refusals, kept = [], [], set()
    for remote in wanted:
        index = _link_towards(remote.gateway, addresses)
        in_the_way = next((each for each in foreign if each.destination.overlaps(remote.cidr)), None)
        if index is None:
            refusals.append(f"no route to {remote}: no link of this node is in its network")
        elif remote.cidr in kept:
            refusals.append(f"no route to {remote}: another node has it")
        elif in_the_way is not None or remote.gateway in remote.cidr:
            refusals.append(f"no route to {remote}: it overlaps {f'route {in_the_way.destination}' if in_the_way else 'its own address'}")
        else:
            kept.add(remote.cidr)
            found = there.get(remote.cidr)
            if found is None or (found.index, found.gateway) != (index, remote.gateway):
                added.append(route.add_route(remote.cidr, index, gateway=remote.gateway))
    removed = [route.remove_route(each) for destination, each in there.items() if destination not in kept]
    return Change(tuple(added), tuple(removed), tuple(refusals))


def _all(nodes: Iterable[Node], own_name: str) -> list[Remote]:
    """In the order of their names. The first InternalIP of a family counts."""
    found = []
    for node in sorted(nodes, key=lambda node: node.metadata.name):
        if node.metadata.name == own_name:
            continue
        gateways: dict[int, IPAddress] = {}
        for each in node.status.addresses:
            if each.type is NodeAddressType.INTERNAL_IP:
                address = ip_address(each.address)
                gateways.setdefault(address.version, address)
        cidrs = node.spec.pod_cidrs or ((node.spec.pod_cidr,) if node.spec.pod_cidr else ())
        found += [Remote(node.metadata.name, cidr, gateways[cidr.version]) for cidr in cidrs if cidr.version in gateways]
    return found


def _is_ours(remote: Remote, own_cidrs: Sequence[IPNetwork]) -> bool:
    return any(remote.cidr.version == own.version and remote.cidr.overlaps(own) for own in own_cidrs)


def _link_towards(gateway: IPAddress, addresses: Iterable[Address]) -> int | None:
    networks = [(ip_network(f"{each.address}/{each.prefix_length}", strict=False), each.index) for each in addresses]
    near = [(network.prefixlen, index) for network, index in networks if gateway in network and network.num_addresses > 1]
    return max(near)[1] if near else None
