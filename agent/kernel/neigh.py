"""Permanent neighbours and static forwarding entries: nothing in the pod network ever asks who has an address."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from agent.kernel import netlink
from agent.kernel.link import mac_bytes
from agent.kernel.netlink import NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, NetlinkSocket, Request
from agent.objects.meta import IPAddress

_RTM_NEWNEIGH, _RTM_DELNEIGH, _RTM_GETNEIGH = 28, 29, 30
_NDA_DST, _NDA_LLADDR, _NDA_MASTER = 1, 2, 9
_MAC_LENGTH = 6
_NUD_NOARP, _NUD_PERMANENT = 0x40, 0x80
_NTF_MASTER = 0x04
_AF = {4: 2, 6: 10}
_AF_BRIDGE = 7
_NDMSG = struct.Struct("=BxxxiHBB")
_ABSENT = frozenset({errno.ENOENT, errno.ESRCH, errno.ENODEV})


@dataclass(frozen=True, slots=True)
class Neighbour:
    index: int
    address: IPAddress
    mac: str


@dataclass(frozen=True, slots=True)
class Forwarding:
    """A static fdb entry: frames for `mac` leave by the link `port`."""

    port: int
    mac: str


def add_neighbour(index: int, address: IPAddress, mac: str) -> Request:
    body = _NDMSG.pack(_AF[address.version], index, _NUD_PERMANENT, 0, 0)
    body += netlink.attr(_NDA_DST, address.packed) + netlink.attr(_NDA_LLADDR, mac_bytes(mac))
    shown = f"ip neighbour replace {address} lladdr {mac} dev index {index} nud permanent"
    return Request(_RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, body, shown)


def add_forwarding(port: int, mac: str) -> Request:
    """A static fdb entry. NOARP is `static`; PERMANENT would make the address the bridge's own."""
    body = _NDMSG.pack(_AF_BRIDGE, port, _NUD_NOARP, _NTF_MASTER, 0) + netlink.attr(_NDA_LLADDR, mac_bytes(mac))
    return Request(_RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, body, f"bridge fdb replace {mac} dev index {port} master static")


def remove_neighbour(index: int, address: IPAddress) -> Request:
    """Absent: no-op."""
    body = _NDMSG.pack(_AF[address.version], index, 0, 0, 0) + netlink.attr(_NDA_DST, address.packed)
    return Request(_RTM_DELNEIGH, 0, body, f"ip neighbour del {address} dev index {index}", _ABSENT)


def list_permanent(socket: NetlinkSocket) -> list[Neighbour]:
    """Of both families and every link; entries that the kernel learnt are left out."""
    return [
        Neighbour(index, ip_address(found[_NDA_DST]), found[_NDA_LLADDR].hex(":"))
        for index, state, found in _entries(socket, 0, "ip neighbour show nud permanent")
        if state & _NUD_PERMANENT and _NDA_DST in found and len(found.get(_NDA_LLADDR, b"")) == _MAC_LENGTH
    ]


def list_forwarding(socket: NetlinkSocket) -> list[Forwarding]:
    """The static entries of every bridge."""
    found = _entries(socket, _AF_BRIDGE, "bridge fdb show")
    return [
        Forwarding(port, values[_NDA_LLADDR].hex(":")) for port, state, values in found if state == _NUD_NOARP and _NDA_MASTER in values
    ]


def _entries(socket: NetlinkSocket, family: int, shown: str) -> Iterator[tuple[int, int, dict[int, bytes]]]:
    for reply in socket.dump(Request(_RTM_GETNEIGH, NLM_F_DUMP, _NDMSG.pack(family, 0, 0, 0, 0), shown)):
        _, index, state, _, _ = _NDMSG.unpack_from(reply.payload)
        yield index, state, netlink.attribute_map(reply.payload[_NDMSG.size :])
