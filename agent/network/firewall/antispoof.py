"""Who may send what, judged where the frame enters: bridge prerouting, or the ingress of each host veth.

An accepted packet gets a mark; `inbound` drops what comes from a pod without it, so deleting this table closes the
pods instead of opening them. IPv4 and ARP: the pod's own address from its own MAC on its own device. IPv6 the same,
and the link-local address the kernel derives from the MAC (neighbour discovery uses it as source); neighbour
advertisements, and the solicitations without source by which an address is claimed, only for own targets; router
advertisements and redirects never. Frames to everybody or to a group only for ARP and neighbour discovery: pods share
no link with anyone, and the node's services on it are not theirs to find. The last rule drops: what is not listed
(VLANs, other protocols) does not pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address

from agent.config import Mode
from agent.kernel.nft import ACCEPT, DROP, Chain, Element, Hook, Rule, Set, Table, goto, rule
from agent.kernel.nft.datatypes import ADDRESS, ETHER, IFNAME, RAW_IPV6
from agent.kernel.nft.fields import (
    arp_hardware,
    arp_protocol,
    arp_saddr_ether,
    arp_saddr_ip,
    ether_saddr,
    ether_type,
    icmpv6_type,
    iifname,
    mark,
    nd_target,
    oifname,
    pkttype,
    saddr,
)
from agent.kernel.nft.match import Lookup, concat
from agent.kernel.nft.statements import set_mark
from agent.network.firewall.tables import ETHERTYPE, NETDEV, POD_LINKS, layer2
from agent.network.node import MARK_DNAT_BRIDGED, MARK_SPOOF_CHECKED, NodeNetwork
from agent.objects.attachment import Attachment
from agent.objects.meta import IPAddress

_CHAIN = "antispoof"
_UNSPECIFIED = IPv6Address("::")
_GROUP = ("broadcast", "multicast")
_JUDGED = set_mark(MARK_SPOOF_CHECKED)


def senders(table: Table, family: int) -> Set:
    """Device, MAC and source address that belong together."""
    return Set(table, f"senders{family}", (IFNAME, ETHER, ADDRESS[family]))


def targets(table: Table) -> Set:
    """Device, MAC and the IPv6 addresses it may claim. (To nft a target is a nameless integer, hence a set apart.)"""
    return Set(table, "targets6", (IFNAME, ETHER, RAW_IPV6), typeof=(iifname, ether_saddr, nd_target))


def sets(node: NodeNetwork) -> tuple[Set, ...]:
    return tuple(each for table in _tables(node) for each in (senders(table, 4), senders(table, 6), targets(table)))


def _tables(node: NodeNetwork) -> tuple[Table, ...]:
    """Interfaces that other plugins made are judged at their device in either mode."""
    return tuple(dict.fromkeys((layer2(node), NETDEV)))


def chains(node: NodeNetwork) -> tuple[Chain, ...]:
    table = layer2(node)
    judges = tuple(Chain(each, _CHAIN, tuple(_rules(each))) for each in _tables(node))
    if node.mode is Mode.ROUTED:
        return judges
    prerouting = Chain(table, "prerouting", (rule(iifname.is_(POD_LINKS), goto(_CHAIN)),), Hook("filter", "prerouting", -300))
    return (*judges, prerouting, _between_ports(table))


def device_chain(table: Table, attachment: Attachment) -> Chain:
    """Routed mode, and interfaces of other plugins: binds a host veth to the judgement. Named as the device."""
    device = attachment.host_ifname
    return Chain(table, device, (rule(goto(_CHAIN)),), Hook("filter", "ingress", -500, device, policy="drop"))


def elements(table: Table, attachment: Attachment) -> Iterator[Element]:
    device, mac = attachment.host_ifname, attachment.mac
    for address in source_addresses(attachment):
        yield senders(table, address.version).element(device, mac, address)
    for address in source_addresses(attachment):
        if isinstance(address, IPv6Address):
            yield targets(table).element(device, mac, address)


def source_addresses(attachment: Attachment) -> tuple[IPAddress, ...]:
    """What was promised to the pod and, with IPv6, its link-local address."""
    local = (link_local(attachment.mac),) if any(address.version == 6 for address in attachment.addresses) else ()
    return (*attachment.addresses, *local)


def link_local(mac: str) -> IPv6Address:
    """EUI-64, as the kernel derives it (addr_gen_mode eui64, the default)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    interface = bytes((octets[0] ^ 0x02, *octets[1:3], 0xFF, 0xFE, *octets[3:]))
    return IPv6Address(b"\xfe\x80" + bytes(6) + interface)


def _rules(table: Table) -> Iterator[Rule]:
    yield rule(ether_type.is_("ip"), pkttype.in_(_GROUP), DROP)
    yield _source_rule(table, 4)
    arp = (ether_type.is_("arp"), arp_hardware.is_(1), arp_protocol.is_("ip"))
    by_frame = concat(iifname, ether_saddr, arp_saddr_ip).in_(senders(table, 4))
    by_message = concat(iifname, arp_saddr_ether, arp_saddr_ip).in_(senders(table, 4))
    yield rule(*arp, by_frame, by_message, ACCEPT)
    icmpv6 = ether_type.is_("ip6")
    own_target = concat(iifname, ether_saddr, nd_target)
    yield rule(icmpv6, icmpv6_type.in_(("nd-router-advert", "nd-redirect")), DROP)
    yield rule(icmpv6, icmpv6_type.is_("nd-neighbor-advert"), own_target.not_in(targets(table)), DROP)
    claim = (saddr(6).is_(_UNSPECIFIED), icmpv6_type.is_("nd-neighbor-solicit"))
    yield rule(icmpv6, *claim, own_target.in_(targets(table)), _JUDGED, ACCEPT)
    yield _source_rule(table, 6, icmpv6_type.in_(("nd-neighbor-solicit", "nd-neighbor-advert")))
    yield rule(icmpv6, pkttype.in_(_GROUP), DROP)
    yield _source_rule(table, 6)
    yield rule(DROP)


def _source_rule(table: Table, family: int, *what: Lookup) -> Rule:
    source = concat(iifname, ether_saddr, saddr(family))
    return rule(ether_type.is_(ETHERTYPE[family]), *what, source.in_(senders(table, family)), _JUDGED, ACCEPT)


def _between_ports(table: Table) -> Chain:
    """Pods reach each other through the node's forward hook only, but for frames that bridge netfilter translated.

    With bridge-nf-call-iptables=1 it hands such a frame straight to the other port, passing inet forward on the way.
    """
    both = (iifname.is_(POD_LINKS), oifname.is_(POD_LINKS))
    translated = mark.masked(MARK_DNAT_BRIDGED, MARK_DNAT_BRIDGED)
    return Chain(table, "forward", (rule(*both, translated, ACCEPT), rule(*both, DROP)), Hook("filter", "forward", -200))
