"""A node and its pods, for tests of the firewall."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from agent.config import Mode
from agent.network.node import NodeNetwork, mac_of
from agent.objects.attachment import Attachment, PortMapping

CIDRS = (IPv4Network("10.73.0.0/20"), IPv6Network("fd73::/64"))


def node(mode: Mode = Mode.BRIDGE, *, drop_foreign_forward: tuple[int, ...] = ()) -> NodeNetwork:
    return NodeNetwork(mode, "pw0", CIDRS, CIDRS, 1500, drop_foreign_forward=drop_foreign_forward)


def pod(number: int, *ports: PortMapping) -> Attachment:
    """Pod 2 is 10.73.0.2 and fd73::2 behind pwv2."""
    addresses = (IPv4Address("10.73.0.0") + number, IPv6Address("fd73::") + number)
    return Attachment(addresses=addresses, mac=mac_of(addresses), host_ifname=f"pwv{number}", ports=ports)
