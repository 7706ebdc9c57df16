"""Names shared by the parts of the firewall, and which devices carry pods' packets."""

from __future__ import annotations

from collections.abc import Iterator

from agent.config import Mode
from agent.kernel.nft import Chain, Family, Hook, Rule, Table
from agent.kernel.nft.fields import iifname
from agent.kernel.nft.match import Compare
from agent.network.node import POD_LINK_PREFIX, NodeNetwork
from agent.objects.attachment import Attachment
from agent.objects.meta import IPAddress

NAME = "podwright"
INET = Table(Family.INET, NAME)
BRIDGE = Table(Family.BRIDGE, NAME)
NETDEV = Table(Family.NETDEV, NAME)
POD_LINKS = f"{POD_LINK_PREFIX}*"
NFPROTO = {4: "ipv4", 6: "ipv6"}
ETHERTYPE = {4: "ip", 6: "ip6"}


def layer2(node: NodeNetwork) -> Table:
    return NETDEV if node.mode is Mode.ROUTED else BRIDGE


def pod_device(node: NodeNetwork) -> str:
    """The device from which, and to which, the inet hooks see pods' packets."""
    return POD_LINKS if node.mode is Mode.ROUTED else node.bridge


def from_pods(node: NodeNetwork) -> Compare:
    return iifname.is_(pod_device(node))


def inet_chain(name: str, hook: Hook | None, *rules: Rule) -> Chain:
    return Chain(INET, name, rules, hook)


def first_of_family(attachment: Attachment) -> Iterator[tuple[int, IPAddress]]:
    """The address of each family that host ports lead to."""
    for family in (4, 6):
        for address in attachment.addresses:
            if address.version == family:
                yield family, address
                break
