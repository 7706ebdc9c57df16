"""Whether another machine on a link's segment answers for an IPv4 address: an ARP probe (RFC 5227).

The probe's own sender address is 0.0.0.0, so that it disturbs nobody's neighbour table. IPv6 needs none: the kernel
asks by itself when an address is added, and keeps the answer as a flag of the address.
"""

from __future__ import annotations

import socket
import struct
import time
from ipaddress import IPv4Address

from agent.kernel.link import mac_bytes

_ETH_P_ARP, _ETHERNET, _IPV4 = 0x0806, 1, 0x0800
_REQUEST = 1
_ARP = struct.Struct(">HHBBH6s4s6s4s")
_BROADCAST = b"\xff" * 6
_PROBES = 3


def owners(device: str, address: IPv4Address, own_mac: str, *, timeout_s: float = 1.0) -> tuple[str, ...]:
    """The MACs, other than ours, that claim the address. Sends three probes; needs CAP_NET_RAW."""
    found: set[str] = set()
    own = mac_bytes(own_mac)
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ARP)) as wire:
        wire.bind((device, _ETH_P_ARP))
        for _ in range(_PROBES):
            question = _ARP.pack(_ETHERNET, _IPV4, 6, 4, _REQUEST, own, bytes(4), bytes(6), address.packed)
            wire.sendto(question, (device, _ETH_P_ARP, 0, 0, _BROADCAST))
            found |= _heard(wire, address, own, time.monotonic() + timeout_s / _PROBES)
    return tuple(sorted(found))


def _heard(wire: socket.socket, address: IPv4Address, own: bytes, deadline: float) -> set[str]:
    found: set[str] = set()
    while (left := deadline - time.monotonic()) > 0:
        wire.settimeout(left)
        try:
            message = wire.recv(128)
        except TimeoutError:
            break
        if len(message) >= _ARP.size:
            *_, sender, claimed, _, _ = _ARP.unpack_from(message)
            if claimed == address.packed and sender != own:
                found.add(sender.hex(":"))
    return found
