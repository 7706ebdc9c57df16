"""Decisions about the node's own network, from plain facts: which link leads out, what the node's addresses
are, and whether a pod CIDR collides with a route. Nothing is read here; the caller hands in one netlink dump.

What Linux forces: a family may have several default routes (the lowest metric wins, and IPv6's unset metric is
1024), the two families may leave by different links, and the routes seen include our own from the last run,
which must not count against us.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from agent.errors import InvalidObject
from agent.network.node import POD_LINK_PREFIX, Foreign
from agent.objects.meta import IPAddress, IPNetwork

TABLE_MAIN = 254
FALLBACK_MTU = 1500
NAT_NETWORK = IPv4Network("10.0.2.0/24")
"""VirtualBox's and qemu's user-mode network: every guest is 10.0.2.15 there, and no other node can reach it."""
_IPV6_METRIC_UNSET = 1024


@dataclass(frozen=True, slots=True)
class RouteFact:
    """One route. `device` "" for routes without one (blackhole, multipath); `protocol` is rtm_protocol (2 kernel, 4 static)."""

    destination: IPNetwork
    device: str = ""
    gateway: IPAddress | None = None
    metric: int = 0
    table: int = TABLE_MAIN
    protocol: int = 0

    @property
    def is_default(self) -> bool:
        return self.destination.prefixlen == 0

    @property
    def priority(self) -> int:
        return self.metric or (_IPV6_METRIC_UNSET if self.destination.version == 6 else 0)

    def __str__(self) -> str:
        via = f" via {self.gateway}" if self.gateway else ""
        device = f" dev {self.device}" if self.device else ""
        return f"{self.destination}{via}{device}"


@dataclass(frozen=True, slots=True)
class LinkFact:
    """One link. `kind` is rtnetlink's ("bridge", "veth", …), "" for hardware."""

    name: str
    index: int
    mtu: int
    kind: str = ""
    is_up: bool = True


@dataclass(frozen=True, slots=True)
class AddressFact:
    """One address of a link. `is_global`: scope global; `is_stable`: neither deprecated nor temporary. A tentative one is
    about to be the link's: at boot it may be all there is."""

    address: IPAddress
    device: str
    is_global: bool = True
    is_stable: bool = True
    is_tentative: bool = False


@dataclass(frozen=True, slots=True)
class NodeFacts:
    links: tuple[LinkFact, ...]
    routes: tuple[RouteFact, ...]
    addresses: tuple[AddressFact, ...]


@dataclass(frozen=True, slots=True)
class Ours:
    """How the agent's own links and routes are recognised: its bridge, route protocols only it writes, and the
    gateway addresses that routed mode keeps on lo (the kernel makes routes of its own for them)."""

    bridge: str = ""
    protocols: frozenset[int] = frozenset()
    gateways: frozenset[IPAddress] = frozenset()


def uplink(facts: NodeFacts, family: int, ours: Ours = Ours()) -> LinkFact | None:
    """The link of the family's best default route; None on a node without a way out."""
    links = {link.name: link for link in facts.links}
    ways = [r for r in facts.routes if r.is_default and r.destination.version == family and r.table == TABLE_MAIN]
    usable = [r for r in ways if r.device in links and links[r.device].is_up and not is_ours(r, ours)]
    return links[min(usable, key=lambda r: r.priority).device] if usable else None


def uplinks(facts: NodeFacts, families: Iterable[int] = (4, 6), ours: Ours = Ours()) -> tuple[LinkFact, ...]:
    """Every link that is an uplink of some family, each once."""
    found = [link for family in families if (link := uplink(facts, family, ours))]
    return tuple(dict.fromkeys(found))


def mtu(facts: NodeFacts, families: Iterable[int] = (4, 6), ours: Ours = Ours()) -> int:
    """The smallest MTU of the uplinks: a pod has one MTU, and both its families must fit."""
    return min((link.mtu for link in uplinks(facts, families, ours)), default=FALLBACK_MTU)


def foreign(facts: NodeFacts, families: Iterable[int] = (4, 6), ours: Ours = Ours()) -> Foreign:
    """Every bridge but our own is some tool's."""
    ways_out = {link.name for link in uplinks(facts, families, ours)}
    bridges = {link.name for link in facts.links if link.kind == "bridge" and link.name != ours.bridge}
    return Foreign(frozenset(bridges - ways_out), frozenset(bridges & ways_out))


def node_addresses(facts: NodeFacts, families: Iterable[int] = (4, 6), ours: Ours = Ours()) -> tuple[IPAddress, ...]:
    """The node's address of each family, at most one each: of the uplink if it has one worth having, else of another link.

    The NAT address of a virtual machine is taken only where there is no other.
    """
    return tuple(best for family in families if (best := _node_address(facts, family, ours)))


def refuse_absent(node_ips: Sequence[IPAddress], facts: NodeFacts) -> None:
    """Raises InvalidObject for a configured address of the node that no link of it has: others would look for it there."""
    there = {fact.address for fact in facts.addresses}
    absent = [str(address) for address in node_ips if address not in there]
    if absent:
        hint = "give the link this address, or name one that it has with network.nodeIPs (--node-ip)"
        problem = f"network.nodeIPs: no link of this node has {', '.join(absent)}, or somebody else on the link has it too"
        raise InvalidObject(problem, hint=hint)


def is_nat_address(address: IPAddress) -> bool:
    return address in NAT_NETWORK


def is_ours(route: RouteFact, ours: Ours) -> bool:
    is_gateway = route.device == "lo" and route.destination.network_address in ours.gateways
    return is_gateway or _is_our_device(route.device, ours.bridge) or route.protocol in ours.protocols


def overlap(pod_cidr: IPNetwork, routes: Iterable[RouteFact], ours: Ours = Ours()) -> RouteFact | None:
    """The first foreign route that this pod CIDR would take packets from, or lose packets to."""
    return next((route for route in routes if _collides(pod_cidr, route, ours)), None)


def refuse_overlap(pod_cidrs: Sequence[IPNetwork], routes: Sequence[RouteFact], ours: Ours = Ours()) -> None:
    """Raises InvalidObject with one problem per pod CIDR that overlaps a route of the node."""
    found = [(cidr, route) for cidr in pod_cidrs if (route := overlap(cidr, routes, ours))]
    problems = [f"pod CIDR {cidr} overlaps route {route}; choose another with network.podCIDRs" for cidr, route in found]
    if problems:
        raise InvalidObject(problems[0], problems=[f"network.podCIDRs: {problem}" for problem in problems])


def _collides(pod_cidr: IPNetwork, route: RouteFact, ours: Ours) -> bool:
    if route.is_default or is_ours(route, ours) or route.destination.version != pod_cidr.version:
        return False
    return route.destination.overlaps(pod_cidr)


def _node_address(facts: NodeFacts, family: int, ours: Ours) -> IPAddress | None:
    links = {link.name: link for link in facts.links}
    out = uplink(facts, family, ours)
    found = [a for a in facts.addresses if a.address.version == family and _is_candidate(a, links.get(a.device), out, ours)]
    ranked = sorted(found, key=lambda a: (is_nat_address(a.address), a.is_tentative, links[a.device] != out, bool(links[a.device].kind)))
    return ranked[0].address if ranked else None


def _is_candidate(fact: AddressFact, link: LinkFact | None, out: LinkFact | None, ours: Ours) -> bool:
    """A bridge that is not the uplink belongs to another tool's containers or guests (docker0, virbr0)."""
    if link is None or not link.is_up or _is_our_device(link.name, ours.bridge) or (link.kind == "bridge" and link != out):
        return False
    return fact.is_global and fact.is_stable and not fact.address.is_loopback and not fact.address.is_link_local


def _is_our_device(device: str, bridge: str) -> bool:
    return device.startswith(POD_LINK_PREFIX) or (bool(bridge) and device == bridge)
