"""What the kernel must hold for the node and for one pod, in either mode, as printable values. Pure.

Both modes: the pod has its address as /32 or /128 and one way out, its gateway, which is a permanent neighbour; the
node has a host route to the pod and the pod as a permanent neighbour. So all traffic between pods is routed by the
node and passes one forward hook, no one ever sends ARP or ND, and an address that no pod has is unreachable at once.

    bridge   host veth is a port of the bridge: static fdb entry for the pod's MAC; route and neighbour are on the bridge
    routed   host veth stands alone; route and neighbour are on it

Order matters to the kernel: port settings before up, up before routes, gateway route before default. And to whoever
comes after a crash: the alias that names a host veth's owner is its last request, so a named veth is a finished one.
A pod is fail-closed from birth: without its firewall elements nothing it sends is let through.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from ipaddress import ip_network

from agent.config import Mode
from agent.kernel import link, neigh, route
from agent.kernel.link import Link
from agent.kernel.netlink import Request
from agent.kernel.sysctl import Sysctl
from agent.network import bandwidth
from agent.network.node import GATEWAY_MAC, LOOPBACK, POD_LINK_PREFIX, SHAPER_LINK_PREFIX, NodeNetwork
from agent.objects.attachment import Attachment, AttachmentKey
from agent.objects.meta import IPAddress, IPNetwork

BRIDGE_ALIAS = "podwright bridge"
_DEFAULT = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}
_UNREACHABLE_METRIC = 4_000_000_000
_POD_IPV4 = {"accept_redirects": 0}
_HOST_IPV4 = {"send_redirects": 0, "accept_redirects": 0, "route_localnet": 1}
"""route_localnet lets 127.0.0.1:hostPort be redirected to a pod; the firewall drops 127/8 that comes from pods."""


@dataclass(frozen=True, slots=True)
class PodChange:
    """One pod's link: requests for the host's namespace, settings and requests for the pod's, and the last for the host's."""

    host: tuple[Request, ...]
    pod_settings: tuple[Sysctl, ...]
    pod: tuple[Request, ...]
    seal: tuple[Request, ...]

    def __str__(self) -> str:
        host = [str(request) for request in self.host]
        pod = [f"netns POD: {step}" for step in (*self.pod_settings, *self.pod)]
        return "\n".join([*host, *pod, *map(str, self.seal)])


def host_ifname(key: AttachmentKey) -> str:
    """15 characters at most, the kernel's limit."""
    return POD_LINK_PREFIX + key.digest[:12]


def alias(attachment: Attachment) -> str:
    """Written on the host veth, for people and for a fresh process that must recognise it (255 bytes at most)."""
    pod = f" pod {attachment.pod.namespace}/{attachment.pod.name}" if attachment.pod.name else ""
    return f"podwright {attachment.metadata.name}{pod}"[:255]


def attachment_of_alias(text: str) -> str | None:
    """The attachment's name (key digest) that `alias` wrote, or None for a foreign link."""
    word, _, rest = text.partition(" ")
    return rest.split(" ", 1)[0] if word == "podwright" and rest else None


def is_pod_link(found: Link) -> bool:
    """A host veth or a shaping link of some pod, by its looks."""
    return (found.name[: len(POD_LINK_PREFIX)], found.kind) in ((POD_LINK_PREFIX, "veth"), (SHAPER_LINK_PREFIX, "ifb"))


def host_mac(node: NodeNetwork, key: AttachmentKey) -> str:
    """Routed: the constant every pod knows its gateway by. Bridge: any locally administered one, but stable."""
    if node.mode is Mode.ROUTED:
        return GATEWAY_MAC
    return (b"\xee" + hashlib.blake2b(key.digest.encode(), digest_size=5).digest()).hex(":")


def host_prefix(address: IPAddress) -> IPNetwork:
    return ip_network((address.packed, address.max_prefixlen))


def attach(node: NodeNetwork, attachment: Attachment, *, netns_fd: int, bridge_index: int = 0) -> PodChange:
    """`netns_fd` is the pod's namespace, `bridge_index` the bridge (bridge mode)."""
    index, pod_index = attachment.host_ifindex, attachment.host_ifindex + 1
    create = link.create_veth(
        attachment.host_ifname,
        index,
        host_mac(node, attachment.attachment_key),
        peer=attachment.ifname,
        peer_index=pod_index,
        peer_mac=attachment.mac,
        netns_fd=netns_fd,
        mtu=attachment.mtu,
        master=bridge_index,
    )
    is_port = node.mode is Mode.BRIDGE
    settle = link.configure(index, ipv4=_HOST_IPV4, link_local=False, is_port=is_port)
    return PodChange(
        host=(create, settle, *bandwidth.ensure(attachment, alias(attachment)), link.set_up(index), *reach(node, attachment, bridge_index)),
        pod_settings=_pod_settings(attachment),
        pod=_pod_side(node, attachment, pod_index),
        seal=(link.configure(index, alias=alias(attachment)), *(link.settle(each) for each in (index, bridge_index) if each)),
    )


def _known_on(node: NodeNetwork, index: int, attachment: Attachment) -> tuple[Request, ...]:
    requests: list[Request] = []
    for address in attachment.addresses:
        requests += (
            neigh.add_neighbour(index, address, attachment.mac),
            route.add_route(host_prefix(address), index, source=node.near_address(address)),
        )
    return tuple(requests)


def _pod_settings(attachment: Attachment) -> tuple[Sysctl, ...]:
    """Redirects are obeyed if `all` or the device says so (IPv4); IPv6 has only the device. Without accept_dad the
    link-local address too works at once, and nobody is asked about it."""
    settings = [Sysctl("net/ipv4/conf/all/accept_redirects", "0")]
    if any(address.version == 6 for address in attachment.addresses):
        conf = f"net/ipv6/conf/{attachment.ifname}"
        settings += [Sysctl(f"{conf}/{name}", "0") for name in ("accept_ra", "accept_redirects", "accept_dad")]
    return tuple(settings)


def _pod_side(node: NodeNetwork, attachment: Attachment, index: int) -> tuple[Request, ...]:
    requests = [link.configure(index, ipv4=_POD_IPV4), link.set_up(index)]
    for address in attachment.addresses:
        gateway = node.gateway(address.version, address)
        requests.append(route.add_address(index, address, address.max_prefixlen))
        requests.append(neigh.add_neighbour(index, gateway, GATEWAY_MAC))
        if not gateway.is_link_local or gateway.version == 4:
            requests.append(route.add_route(host_prefix(gateway), index))
        requests.append(route.add_route(_DEFAULT[address.version], index, gateway=gateway))
    return tuple(requests)


def repair(node: NodeNetwork, attachment: Attachment, bridge_index: int = 0) -> tuple[Request, ...]:
    """The node's side of a host veth that stands but was taken down, or off the bridge. Everything here is idempotent."""
    index = attachment.host_ifindex
    is_port = node.mode is Mode.BRIDGE
    return (
        *((link.set_master(index, bridge_index),) if is_port else ()),
        link.configure(index, alias=alias(attachment), ipv4=_kept_ipv4(node), link_local=False, is_port=is_port),
        link.set_mac(index, host_mac(node, attachment.attachment_key)),
        link.set_mtu(index, attachment.mtu),
        link.set_up(index),
        *reach(node, attachment, bridge_index),
    )


def is_as_made(node: NodeNetwork, attachment: Attachment, found: Link, bridge_index: int = 0) -> bool:
    """Is the host veth that stands what `attach` made of it?"""
    has = (found.master, found.is_up, found.mtu, found.mac, found.alias)
    wants = (bridge_index, True, attachment.mtu, host_mac(node, attachment.attachment_key), alias(attachment))
    return has == wants and found.has_ipv4(_kept_ipv4(node)) and (found.is_closed_port or node.mode is Mode.ROUTED)


def is_bridge_as_made(node: NodeNetwork, found: Link) -> bool:
    has = (found.name, found.kind, found.is_up, found.mtu, found.mac, found.alias)
    return has == (node.bridge, "bridge", True, node.mtu, GATEWAY_MAC, BRIDGE_ALIAS) and found.has_ipv4(_kept_ipv4(node))


def is_our_bridge(found: Link) -> bool:
    """By its alias or its MAC: others may have changed one, and the alias cannot be given at creation."""
    return found.kind == "bridge" and (found.alias == BRIDGE_ALIAS or found.mac == GATEWAY_MAC)


def _kept_ipv4(node: NodeNetwork) -> dict[str, int]:
    """A device is born as its node forwards; later, one may be told otherwise."""
    return {**_HOST_IPV4, "forwarding": 1} if 4 in node.families else _HOST_IPV4


def reach(node: NodeNetwork, attachment: Attachment, bridge_index: int = 0) -> tuple[Request, ...]:
    """How the node finds the pod behind a host veth that is up."""
    if node.mode is Mode.BRIDGE:
        return (neigh.add_forwarding(attachment.host_ifindex, attachment.mac), *_known_on(node, bridge_index, attachment))
    return _known_on(node, attachment.host_ifindex, attachment)


@dataclass(frozen=True, slots=True)
class Resize:
    """A pod link's new MTU: requests for the host's namespace and for the pod's."""

    host: tuple[Request, ...]
    pod: tuple[Request, ...]


def resize(attachment: Attachment) -> Resize:
    """To the attachment's MTU; the buckets hold frames of that size."""
    index, pod_index = attachment.host_ifindex, attachment.host_ifindex + 1
    limits = bandwidth.ensure(attachment, alias(attachment))
    return Resize((link.set_mtu(index, attachment.mtu), *limits), (link.set_mtu(pod_index, attachment.mtu),))


def detach(attachment: Attachment, bridge_index: int = 0) -> tuple[Request, ...]:
    """What deleting the host veth does not take with it: the routes and neighbours on the bridge."""
    if not bridge_index or attachment.is_chained:
        return ()
    routes = (route.remove_link_route(host_prefix(address), bridge_index) for address in attachment.addresses)
    return (*routes, *(neigh.remove_neighbour(bridge_index, address) for address in attachment.addresses))


def bridge_links(node: NodeNetwork) -> tuple[Request, ...]:
    return (link.create_bridge(node.bridge, mac=GATEWAY_MAC, mtu=node.mtu),)


def bridge_addresses(node: NodeNetwork, index: int, mac: str = GATEWAY_MAC) -> tuple[Request, ...]:
    """The bridge's own settings and the gateways on it; idempotent. Without a link-local address it announces nothing.
    `mac` is what it has: to set even the same one makes the kernel forget every neighbour, and living pods lose packets."""
    return (
        link.configure(index, alias=BRIDGE_ALIAS, ipv4=_HOST_IPV4, link_local=False),
        *((link.set_mac(index, GATEWAY_MAC),) if mac != GATEWAY_MAC else ()),
        link.set_mtu(index, node.mtu),
        link.set_up(index),
        *_gateways_on(index, node),
    )


def routed_requests(node: NodeNetwork) -> tuple[Request, ...]:
    return _gateways_on(LOOPBACK, node)


def _gateways_on(index: int, node: NodeNetwork) -> tuple[Request, ...]:
    """Addresses for the node to speak to pods with, and an answer for those that no pod has. Each is alone in its
    prefix: a route to the whole range would have the node ask every pod for every address that somebody tries."""
    addresses = (route.add_address(index, gateway, gateway.max_prefixlen) for gateway, _ in node.gateways)
    return (*addresses, *(route.add_unreachable(cidr, metric=_UNREACHABLE_METRIC) for cidr in node.pod_cidrs))
