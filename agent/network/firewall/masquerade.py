"""Source NAT, for pods only: host traffic never matches.

pods leaving the cluster    to any destination but pods, of this and other nodes, multicast and the non-masquerade networks
hairpin                     a pod that reaches itself through its own host port (nft cannot compare two fields of a
                            packet, so the pairs pod . pod are elements)
interfaces of other plugins never: that is theirs to do; pods of ours reach them with their own address
127.0.0.1                   the node's own connections to a host port, whose source the pod could not answer
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from agent.kernel.nft import Chain, Element, Hook, Rule, Set, rule
from agent.kernel.nft.datatypes import ADDRESS, Scalar
from agent.kernel.nft.fields import ct_status, daddr, oifname, saddr
from agent.kernel.nft.match import concat
from agent.kernel.nft.statements import masquerade
from agent.network.firewall.inbound import LOOPBACK
from agent.network.firewall.tables import INET, inet_chain
from agent.network.node import NodeNetwork
from agent.objects.attachment import Attachment

_MULTICAST = (IPv4Network("224.0.0.0/4"), IPv6Network("ff00::/8"))


def pods(family: int) -> Set:
    return Set(INET, f"pods{family}", (ADDRESS[family],))


def chained(family: int) -> Set:
    """Pods whose interface another plugin made."""
    return Set(INET, f"chained{family}", (ADDRESS[family],))


def hairpins(family: int) -> Set:
    return Set(INET, f"hairpins{family}", (ADDRESS[family], ADDRESS[family]))


def exempt(family: int) -> Set:
    """Destinations pods reach with their own address."""
    return Set(INET, f"nonmasq{family}", (ADDRESS[family],), is_interval=True)


def sets() -> tuple[Set, ...]:
    return tuple(make(family) for family in (4, 6) for make in (pods, chained, hairpins, exempt))


def chains() -> tuple[Chain, ...]:
    local = (rule(oifname.is_not("lo"), saddr(4).is_(LOOPBACK), daddr(4).in_(each(4)), masquerade()) for each in (pods, chained))
    return (inet_chain("nat-postrouting", Hook("nat", "postrouting", 100), *_rules(4), *_rules(6), *local),)


def _rules(family: int) -> Iterator[Rule]:
    yield rule(ct_status.has("dnat"), concat(saddr(family), daddr(family)).in_(hairpins(family)), masquerade())
    outside = tuple(daddr(family).not_in(each(family)) for each in (exempt, pods, chained))
    yield rule(saddr(family).in_(pods(family)), *outside, masquerade(fully_random=True))


def node_elements(node: NodeNetwork) -> Iterator[Element]:
    """Disjoint, as an interval set wants them."""
    networks = (*node.non_masquerade, *node.remote, *_MULTICAST)
    v4 = collapse_addresses(network for network in networks if isinstance(network, IPv4Network))
    v6 = collapse_addresses(network for network in networks if isinstance(network, IPv6Network))
    yield from (exempt(4).element(_shortest(network)) for network in v4)
    yield from (exempt(6).element(_shortest(network)) for network in v6)


def elements(attachment: Attachment) -> Iterator[Element]:
    members = chained if attachment.is_chained else pods
    for address in attachment.addresses:
        yield members(address.version).element(address)
    for address in attachment.addresses:
        yield hairpins(address.version).element(address, address)


def _shortest(network: IPv4Network | IPv6Network) -> Scalar:
    """As the kernel's list is read back: a single address is an address."""
    return network.network_address if network.prefixlen == network.max_prefixlen else network
