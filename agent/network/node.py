"""The node's side of the pod network as one value: everything that is the same for all pods.

Bridge mode: pods and gateway share one bridge; the gateway (first address of each pod CIDR) lives on it.
Routed mode: a veth per pod, host routes, no bridge; the pods' gateway is 169.254.1.1 and fe80::1, which no
device holds: each pod has it as a permanent neighbour with its host veth's MAC.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from agent.config import Config, Mode
from agent.errors import InvalidObject
from agent.objects.meta import IPAddress, IPNetwork

POD_NETWORK = "podwright"
"""The network of our own pods' attachments, as CNI would name it. A constant: living pods are found by it."""
POD_LINK_PREFIX = "pwv"
"""Every host-side veth's name starts so; firewall rules match `pwv*`."""
SHAPER_LINK_PREFIX = "pwi"
"""And so that of the ifb link which shapes what a pod sends, where it is limited."""
ROUTED_GATEWAY: dict[int, IPAddress] = {4: IPv4Address("169.254.1.1"), 6: IPv6Address("fe80::1")}
GATEWAY_MAC = "ee:ee:ee:ee:ee:ee"
"""Of the bridge, and of every host veth in routed mode (each is alone on its link). Pods hold it for as long as they
live, so it must not depend on anything that a configuration can change."""

LOOPBACK = 1
"""The index of lo, in every namespace."""

MARK_SPOOF_CHECKED = 0x80
MARK_DNAT_BRIDGED = 0x40


@dataclass(frozen=True, slots=True)
class Foreign:
    """Bridges of other tools, by name, and those that are the node's own uplinks."""

    bridges: frozenset[str] = frozenset()
    uplink_bridges: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NodeNetwork:
    """`mtu` is that of the pod links; `pod_cidrs` may hold several ranges of a family."""

    mode: Mode
    bridge: str
    pod_cidrs: tuple[IPNetwork, ...]
    non_masquerade: tuple[IPNetwork, ...]
    mtu: int
    node_ips: tuple[IPAddress, ...] = ()
    drop_foreign_forward: tuple[int, ...] = ()
    """The families that the agent itself turned forwarding on for: traffic between two devices that are not ours drops."""
    foreign: Foreign = Foreign()
    """As found at start; the tables keep up with them."""
    remote: tuple[IPNetwork, ...] = ()
    """Pods of other nodes, reached with the pod's own address; the tables keep up with them too."""

    @property
    def families(self) -> tuple[int, ...]:
        return tuple(version for version in (4, 6) if any(c.version == version for c in self.pod_cidrs))

    @property
    def gateways(self) -> tuple[tuple[IPAddress, IPNetwork], ...]:
        """The node's own address in each CIDR, with the CIDR: on the bridge, or on lo in routed mode (where pods send to another one)."""
        return tuple((gateway_of(cidr), cidr) for cidr in self.pod_cidrs)

    def gateway(self, family: int, address: IPAddress) -> IPAddress:
        """The next hop a pod with `address` uses."""
        near = ROUTED_GATEWAY[family] if self.mode is Mode.ROUTED else self.near_address(address)
        if near is None:
            raise InvalidObject(f"address {address} has no gateway: there is no IPv{family} range", hint="add one to network.podCIDRs")
        return near

    def near_address(self, address: IPAddress) -> IPAddress | None:
        """The one of the node's addresses that it speaks to this pod from: its range's, else any of its family."""
        near = [gateway for gateway, cidr in self.gateways if cidr.version == address.version]
        return next((gateway for gateway, cidr in self.gateways if address in cidr), near[0] if near else None)


def gateway_of(cidr: IPNetwork) -> IPAddress:
    """The first address of a range; no pod ever gets it."""
    first: IPAddress = cidr.network_address + 1
    return first


def mac_of(addresses: Sequence[IPAddress]) -> str:
    """0a:58 and the IPv4 address (kubenet's rule: a reused address never meets a stale neighbour entry);
    without IPv4, 0a:58 and a hash of the IPv6 address."""
    for address in addresses:
        if address.version == 4:
            return _mac(address.packed)
    return _mac(hashlib.blake2b(addresses[0].packed, digest_size=4).digest())


def _mac(last_four: bytes) -> str:
    return ":".join(f"{byte:02x}" for byte in b"\x0a\x58" + last_four)


def from_config(
    config: Config, *, mtu: int, node_ips: tuple[IPAddress, ...], drop_foreign_forward: tuple[int, ...], foreign: Foreign = Foreign()
) -> NodeNetwork:
    network = config.network
    return NodeNetwork(
        mode=network.mode,
        bridge=network.bridge,
        pod_cidrs=network.pod_cidrs,
        non_masquerade=network.pod_cidrs if network.non_masquerade_cidrs is None else network.non_masquerade_cidrs,
        mtu=network.mtu or mtu,
        node_ips=network.node_ips or node_ips,
        drop_foreign_forward=drop_foreign_forward,
        foreign=foreign,
    )
