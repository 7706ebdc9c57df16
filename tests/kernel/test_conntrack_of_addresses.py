"""Connections of an address are forgotten with it, and nobody else's are."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from agent.kernel import conntrack
from tests.kernel.test_conntrack import flows_from
from tests.places import NODE_ADDRESS, OUTSIDE, OUTSIDE_ADDRESS
from tests.prober import Servers, family_of

pytestmark = [pytest.mark.kernel, pytest.mark.needs("/proc/net/nf_conntrack"), pytest.mark.usefixtures("agent")]
PORT = 5354


@pytest.mark.parametrize("family", [4, 6])
def test_only_flows_of_the_address_are_forgotten(family: int) -> None:
    """IPv6 too, whose filter of clients and servers the kernel turns into its opposite."""
    node, outside = NODE_ADDRESS[family], OUTSIDE_ADDRESS[family]
    with Servers() as servers, socket.socket(family_of(node), socket.SOCK_DGRAM) as client:
        servers.listen(OUTSIDE, "outside", PORT)
        client.settimeout(1)
        client.bind(("", 0))
        for to in (node, outside):
            client.sendto(b"?", (to, PORT))
        assert client.recv(64).startswith(b"outside")
        mine = client.getsockname()[1]
        conntrack.flush([ip_address(outside)])
        assert flows_from(mine) == {(ip_address(node), PORT)}


@pytest.mark.parametrize("family", [4, 6])
def test_thousands_of_flows_are_forgotten_at_once(family: int) -> None:
    """More than fit into one message: a busy server leaves this many behind in a minute."""
    address = OUTSIDE_ADDRESS[family]
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as client:
        client.bind(("", 0))
        for port in range(20000, 23000):
            client.sendto(b"?", (address, port))
        mine = client.getsockname()[1]
        assert len(flows_from(mine)) > 1000
        conntrack.flush_where(lambda source: source == ip_address(address))
        assert flows_from(mine) == set()
