"""Connection tracking entries of addresses that are no longer theirs, through ctnetlink.

An entry belongs to a pod when its original source is the pod (it was the client) or its reply source is (it was
the server, by whatever address it was asked). Kernels from 6.11 on delete by such a filter themselves; older ones
refuse it, and the table is read and the matches deleted one by one. Either way the whole table is walked (2 ms at
10,000 entries, measured), so nobody waits for it.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Iterator

from agent.errors import KernelError
from agent.kernel import netlink
from agent.kernel.netlink import NETLINK_NETFILTER, NLM_F_DUMP, NetlinkSocket, Request, nested
from agent.objects.meta import IPAddress

_SUBSYSTEM = 1 << 8
_CT_GET, _CT_DELETE = _SUBSYSTEM | 1, _SUBSYSTEM | 2
_TUPLE_ORIG, _TUPLE_REPLY, _CTA_ID, _CTA_FILTER = 1, 2, 12, 25
_TUPLE_IP = 1
_IP_SRC = {4: 1, 6: 3}
_FILTER_ORIG_FLAGS, _FILTER_REPLY_FLAGS, _FILTER_BY_SOURCE = 1, 2, 1
_AF = {4: 2, 6: 10}
_NFGENMSG = struct.Struct("=BBH")
_REFUSED = (errno.EOPNOTSUPP, errno.EINVAL)
_GONE = frozenset({errno.ENOENT})


def flush(addresses: Iterable[IPAddress]) -> None:
    """Delete every entry whose client or server is one of the addresses."""
    with NetlinkSocket(NETLINK_NETFILTER) as socket:
        for address in addresses:
            try:
                socket.transact([_by_filter(address, side) for side in (_TUPLE_ORIG, _TUPLE_REPLY)])
            except KernelError as error:
                if error.errno not in _REFUSED:
                    raise
                socket.transact([*_one_by_one(socket, address)])


def _by_filter(address: IPAddress, side: int) -> Request:
    source = nested(side, nested(_TUPLE_IP, netlink.attr(_IP_SRC[address.version], address.packed)))
    sides = ((_TUPLE_ORIG, _FILTER_ORIG_FLAGS), (_TUPLE_REPLY, _FILTER_REPLY_FLAGS))
    flags = (netlink.u32(kind, _FILTER_BY_SOURCE if each == side else 0) for each, kind in sides)
    body = _NFGENMSG.pack(_AF[address.version], 0, 0) + source + nested(_CTA_FILTER, *flags)
    option = "--orig-src" if side == _TUPLE_ORIG else "--reply-src"
    return Request(_CT_DELETE, 0, body, f"conntrack -D {option} {address}", _GONE)


def _one_by_one(socket: NetlinkSocket, address: IPAddress) -> Iterator[Request]:
    header = _NFGENMSG.pack(_AF[address.version], 0, 0)
    for reply in socket.dump(Request(_CT_GET, NLM_F_DUMP, header, f"conntrack -L -f ipv{address.version}")):
        entry = netlink.attribute_map(reply.payload[_NFGENMSG.size :])
        if address.packed in (_source(entry[side], address.version) for side in (_TUPLE_ORIG, _TUPLE_REPLY)):
            body = header + nested(_TUPLE_ORIG, entry[_TUPLE_ORIG]) + netlink.attr(_CTA_ID, entry[_CTA_ID])
            yield Request(_CT_DELETE, 0, body, f"conntrack -D (entry of {address})", _GONE)


def _source(side: bytes, family: int) -> bytes:
    addresses = netlink.attribute_map(netlink.attribute_map(side).get(_TUPLE_IP, b""))
    return addresses.get(_IP_SRC[family], b"")
