"""Connection tracking entries that no longer tell the truth, deleted through ctnetlink.

Of an address: an entry belongs to a pod when its original source is the pod (it was the client) or its reply source
is (it was the server, by whatever address it was asked). Kernels from 6.11 on delete by an IPv4 address themselves;
older ones refuse it, and the table is read and the matches deleted one by one. So it is always done for IPv6: there
the kernel's comparison is inverted (seen on 6.18), and to delete one pod's entries would end everybody else's flows.
Of a revoked flow: policy says which (flush_tracked).
Of a host port: an entry remembers for as long as its client goes on sending that the port was the node's own, or
another pod's. Kernels from 5.8 on list by port, older ones list all; what is read is judged here again.
Either way the whole table is walked (2 ms at 10,000 entries, measured).
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from agent.errors import KernelError
from agent.kernel import netlink
from agent.kernel.netlink import NETLINK_NETFILTER, NLM_F_DUMP, NetlinkSocket, Request, nested
from agent.objects.attachment import Protocol
from agent.objects.meta import IPAddress

_SUBSYSTEM = 1 << 8
_CT_GET, _CT_DELETE = _SUBSYSTEM | 1, _SUBSYSTEM | 2
_TUPLE_ORIG, _TUPLE_REPLY, _CTA_ID, _CTA_FILTER = 1, 2, 12, 25
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_IP_SRC, _IP_DST = {4: 1, 6: 3}, {4: 2, 6: 4}
_PROTO_NUM, _PROTO_SRC_PORT, _PROTO_DST_PORT = 1, 2, 3
_PROTOCOL = {Protocol.TCP: 6, Protocol.UDP: 17, Protocol.SCTP: 132}
_FILTER_ORIG_FLAGS, _FILTER_REPLY_FLAGS, _FILTER_BY_SOURCE = 1, 2, 1
_FILTER_BY_PORT = 1 << 3 | 1 << 5
"""CTA_PROTO_NUM and CTA_PROTO_DST_PORT."""
_AF = {4: 2, 6: 10}
_NFGENMSG = struct.Struct("=BBH")
_MANY = 8
"""Addresses for which reading the table once is cheaper than having the kernel walk it twice for each."""
_REFUSED = (errno.EOPNOTSUPP, errno.EINVAL)
_GONE = frozenset({errno.ENOENT})
_AT_ONCE = 256

_Entry = dict[int, bytes]


class Tracked(NamedTuple):
    """A connection by the keys that policy judges it by: who opened it, and who answers, behind any translation."""

    source: IPAddress
    destination: IPAddress
    protocol: int
    source_port: int
    destination_port: int


def flush(addresses: Iterable[IPAddress]) -> None:
    """Delete every entry whose client or server is one of the addresses."""
    with NetlinkSocket(NETLINK_NETFILTER) as socket:
        left = set(addresses)
        if len(left) < _MANY:
            left = {address for address in left if address.version != 4 or not _is_done_by_filter(socket, address)}
        for family in {address.version for address in left}:
            mentioning = _list(socket, family, mentions=[address.packed for address in left])
            _delete_where(socket, family, mentioning, left.__contains__)


def flush_where(is_gone: Callable[[IPAddress], bool]) -> None:
    """Delete every entry whose client's or server's address is gone."""
    with NetlinkSocket(NETLINK_NETFILTER) as socket:
        for family in _AF:
            _delete_where(socket, family, _list(socket, family), is_gone)


def flush_port(protocol: Protocol, port: int, is_wanted: Callable[[IPAddress], bool]) -> None:
    """Delete every entry whose client sent to this port of a wanted address."""
    with NetlinkSocket(NETLINK_NETFILTER) as socket:
        for family in _AF:
            found = _asking(socket, family, protocol, port)
            _delete_all(socket, [_delete(family, entry) for entry in found if is_wanted(_destination(entry, family))])


def flush_tracked(protocol: int, addresses: Collection[IPAddress], is_gone: Callable[[Tracked], bool]) -> int:
    """Delete entries of a protocol with ports that mention one of the addresses and are judged gone. Returns how many."""
    count = 0
    with NetlinkSocket(NETLINK_NETFILTER) as socket:
        for family in {address.version for address in addresses}:
            found = _list(socket, family, mentions=[address.packed for address in addresses if address.version == family])
            requests = [_delete(family, entry) for entry in found if (flow := _tracked(entry, family, protocol)) and is_gone(flow)]
            _delete_all(socket, requests)
            count += len(requests)
    return count


def _tracked(entry: _Entry, family: int, protocol: int) -> Tracked | None:
    original, reply = (netlink.attribute_map(netlink.attribute_map(entry[side])[_TUPLE_PROTO]) for side in (_TUPLE_ORIG, _TUPLE_REPLY))
    if original[_PROTO_NUM] != bytes((protocol,)):
        return None
    ports = (int.from_bytes(side[_PROTO_SRC_PORT], "big") for side in (original, reply))
    return Tracked(_source(entry[_TUPLE_ORIG], family), _source(entry[_TUPLE_REPLY], family), protocol, *ports)


def _is_done_by_filter(socket: NetlinkSocket, address: IPAddress) -> bool:
    try:
        socket.transact([_by_filter(address, side) for side in (_TUPLE_ORIG, _TUPLE_REPLY)])
    except KernelError as error:
        if error.errno not in _REFUSED:
            raise
        return False
    return True


def _by_filter(address: IPAddress, side: int) -> Request:
    source = nested(side, nested(_TUPLE_IP, netlink.attr(_IP_SRC[address.version], address.packed)))
    sides = ((_TUPLE_ORIG, _FILTER_ORIG_FLAGS), (_TUPLE_REPLY, _FILTER_REPLY_FLAGS))
    flags = (netlink.u32(kind, _FILTER_BY_SOURCE if each == side else 0) for each, kind in sides)
    body = _NFGENMSG.pack(_AF[address.version], 0, 0) + source + nested(_CTA_FILTER, *flags)
    option = "--orig-src" if side == _TUPLE_ORIG else "--reply-src"
    return Request(_CT_DELETE, 0, body, f"conntrack -D {option} {address}", _GONE)


def _delete_where(socket: NetlinkSocket, family: int, entries: Iterable[_Entry], is_gone: Callable[[IPAddress], bool]) -> None:
    ends = ((entry, (_source(entry[side], family) for side in (_TUPLE_ORIG, _TUPLE_REPLY))) for entry in entries)
    _delete_all(socket, [_delete(family, entry) for entry, sources in ends if any(map(is_gone, sources))])


def _delete_all(socket: NetlinkSocket, requests: Sequence[Request]) -> None:
    """In parts: a busy pod has more entries than one message may be long."""
    for start in range(0, len(requests), _AT_ONCE):
        socket.transact(requests[start : start + _AT_ONCE])


def _asking(socket: NetlinkSocket, family: int, protocol: Protocol, port: int) -> Iterator[_Entry]:
    number, wire_port = _PROTOCOL[protocol].to_bytes(1, "big"), port.to_bytes(2, "big")
    asked = netlink.attr(_PROTO_NUM, number) + netlink.attr(_PROTO_DST_PORT, wire_port)
    by_port = nested(_TUPLE_ORIG, nested(_TUPLE_PROTO, asked)) + nested(_CTA_FILTER, netlink.u32(_FILTER_ORIG_FLAGS, _FILTER_BY_PORT))
    for entry in _list(socket, family, by_port, f" -p {protocol.lower()} --orig-port-dst {port}"):
        found = netlink.attribute_map(netlink.attribute_map(entry[_TUPLE_ORIG])[_TUPLE_PROTO])
        if (found[_PROTO_NUM], found.get(_PROTO_DST_PORT)) == (number, wire_port):
            yield entry


def _list(
    socket: NetlinkSocket, family: int, filter_: bytes = b"", shown: str = "", *, mentions: Collection[bytes] = (b"",)
) -> Iterator[_Entry]:
    """Entries in which one of `mentions` stands somewhere: to parse the whole table costs a second of a busy node's time."""
    request = Request(_CT_GET, NLM_F_DUMP, _NFGENMSG.pack(_AF[family], 0, 0) + filter_, f"conntrack -L -f ipv{family}{shown}")
    for reply in socket.dump(request):
        if any(each in reply.payload for each in mentions):
            yield netlink.attribute_map(reply.payload[_NFGENMSG.size :])


def _delete(family: int, entry: _Entry) -> Request:
    body = nested(_TUPLE_ORIG, entry[_TUPLE_ORIG]) + netlink.attr(_CTA_ID, entry[_CTA_ID])
    return Request(_CT_DELETE, 0, _NFGENMSG.pack(_AF[family], 0, 0) + body, f"conntrack -D (to {_destination(entry, family)})", _GONE)


def _destination(entry: _Entry, family: int) -> IPAddress:
    return ip_address(_address(entry[_TUPLE_ORIG], _IP_DST[family]))


def _source(side: bytes, family: int) -> IPAddress:
    return ip_address(_address(side, _IP_SRC[family]))


def _address(side: bytes, kind: int) -> bytes:
    return netlink.attribute_map(netlink.attribute_map(side).get(_TUPLE_IP, b"")).get(kind, b"")
