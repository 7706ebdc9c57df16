"""Permanent neighbours and static forwarding entries: nothing in the pod network ever asks who has an address."""

from __future__ import annotations

import errno
import struct

from agent.kernel import netlink
from agent.kernel.link import mac_bytes
from agent.kernel.netlink import NLM_F_CREATE, NLM_F_REPLACE, Request
from agent.objects.meta import IPAddress

_RTM_NEWNEIGH, _RTM_DELNEIGH = 28, 29
_NDA_DST, _NDA_LLADDR = 1, 2
_NUD_NOARP, _NUD_PERMANENT = 0x40, 0x80
_NTF_MASTER = 0x04
_AF = {4: 2, 6: 10}
_AF_BRIDGE = 7
_NDMSG = struct.Struct("=BxxxiHBB")
_ABSENT = frozenset({errno.ENOENT, errno.ESRCH, errno.ENODEV})


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
