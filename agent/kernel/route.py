"""Addresses and routes as rtnetlink requests and dumps. The family is read off the address.

Routes of ours carry their own protocol number, so that a fresh process, `ip route` and other routing daemons can
tell them apart. Adding what is there already is a no-op (REPLACE); removing what is not there too.
"""

from __future__ import annotations

import errno
import ipaddress
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from agent.kernel import netlink
from agent.kernel.netlink import NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, NetlinkSocket, Request
from agent.objects.meta import IPAddress, IPNetwork

RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTPROT_PODWRIGHT = 112
"""Route protocol of our routes; unused in /etc/iproute2/rt_protos."""

_AF = {4: 2, 6: 10}
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_IFA_F_NODAD, _IFA_F_TEMPORARY, _IFA_F_DADFAILED, _IFA_F_DEPRECATED, _IFA_F_TENTATIVE, _IFA_F_PERMANENT = 0x02, 0x01, 0x08, 0x20, 0x40, 0x80
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_PREFSRC, _RTA_TABLE = 1, 4, 5, 6, 7, 15
_RT_TABLE_MAIN, _RTN_UNICAST, _RTN_UNREACHABLE = 254, 1, 7
_SCOPE_UNIVERSE, _SCOPE_LINK, _SCOPE_NOWHERE = 0, 253, 255
_IFADDR = struct.Struct("=BBBBI")
_RTMSG = struct.Struct("=BBBBBBBBI")
_ABSENT = frozenset({errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENODEV})


@dataclass(frozen=True, slots=True)
class Address:
    """An address on a link. `scope` 0 is global, 253 link, 254 host."""

    address: IPAddress
    prefix_length: int
    index: int
    scope: int
    is_temporary: bool = False
    is_deprecated: bool = False
    is_tentative: bool = False
    """The link is still being asked whether somebody else has it."""
    is_duplicate: bool = False
    """Somebody else does: the kernel does not use it."""


@dataclass(frozen=True, slots=True)
class Route:
    destination: IPNetwork
    index: int
    gateway: IPAddress | None
    metric: int
    table: int
    protocol: int
    kind: int
    source: IPAddress | None = None

    @property
    def is_unreachable(self) -> bool:
        return self.kind == _RTN_UNREACHABLE


def add_address(index: int, address: IPAddress, prefix_length: int) -> Request:
    """Without duplicate address detection: addresses are ours to give, nobody has to wait for one."""
    body = _IFADDR.pack(_AF[address.version], prefix_length, 0, _SCOPE_UNIVERSE, index)
    body += netlink.attr(_IFA_LOCAL, address.packed) + netlink.attr(_IFA_ADDRESS, address.packed)
    body += netlink.u32(_IFA_FLAGS, _IFA_F_NODAD | _IFA_F_PERMANENT)
    shown = f"ip address replace {address}/{prefix_length} dev index {index} nodad"
    return Request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body, shown)


def remove_address(index: int, address: IPAddress, prefix_length: int) -> Request:
    body = _IFADDR.pack(_AF[address.version], prefix_length, 0, 0, index)
    body += netlink.attr(_IFA_LOCAL, address.packed) + netlink.attr(_IFA_ADDRESS, address.packed)
    return Request(RTM_DELADDR, 0, body, f"ip address del {address}/{prefix_length} dev index {index}", _ABSENT)


def add_route(
    destination: IPNetwork, index: int, *, gateway: IPAddress | None = None, metric: int = 0, source: IPAddress | None = None
) -> Request:
    """A route through a link, directly (scope link) or by a gateway. `source`: the node's address to speak from."""
    body = _route_body(destination, _RTN_UNICAST, _SCOPE_LINK if gateway is None and destination.version == 4 else _SCOPE_UNIVERSE)
    body += netlink.u32(_RTA_OIF, index)
    shown = f"ip route replace {destination}"
    if gateway is not None:
        body += netlink.attr(_RTA_GATEWAY, gateway.packed)
        shown += f" via {gateway}"
    if metric:
        body += netlink.u32(_RTA_PRIORITY, metric)
    shown += f" dev index {index} proto {RTPROT_PODWRIGHT}"
    if source is not None:
        body += netlink.attr(_RTA_PREFSRC, source.packed)
        shown += f" src {source}"
    return Request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body, shown)


def add_unreachable(destination: IPNetwork, *, metric: int) -> Request:
    """Answers for addresses no pod has, which would else leave by the default route."""
    body = _route_body(destination, _RTN_UNREACHABLE, _SCOPE_UNIVERSE) + netlink.u32(_RTA_PRIORITY, metric)
    shown = f"ip route replace unreachable {destination} metric {metric} proto {RTPROT_PODWRIGHT}"
    return Request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body, shown)


def remove_link_route(destination: IPNetwork, index: int) -> Request:
    """Of `add_route` without a gateway. Absent: no-op."""
    return remove_route(Route(destination, index, None, 0, _RT_TABLE_MAIN, RTPROT_PODWRIGHT, _RTN_UNICAST))


def remove_route(route: Route) -> Request:
    """Absent: no-op. The scope "nowhere" stands for any, and must be said: another one finds nothing."""
    body = _route_body(route.destination, route.kind, _SCOPE_NOWHERE)
    if route.index:
        body += netlink.u32(_RTA_OIF, route.index)
    if route.metric:
        body += netlink.u32(_RTA_PRIORITY, route.metric)
    return Request(RTM_DELROUTE, 0, body, f"ip route del {route.destination} dev index {route.index}", _ABSENT)


def _route_body(destination: IPNetwork, kind: int, scope: int) -> bytes:
    header = _RTMSG.pack(_AF[destination.version], destination.prefixlen, 0, 0, _RT_TABLE_MAIN, RTPROT_PODWRIGHT, scope, kind, 0)
    return header + (netlink.attr(_RTA_DST, destination.network_address.packed) if destination.prefixlen else b"")


def list_addresses(socket: NetlinkSocket) -> list[Address]:
    request = Request(RTM_GETADDR, NLM_F_DUMP, _IFADDR.pack(0, 0, 0, 0, 0), "ip address show")
    found = []
    for reply in socket.dump(request):
        _, prefix_length, flags, scope, index = _IFADDR.unpack_from(reply.payload)
        values = netlink.attribute_map(reply.payload[_IFADDR.size :])
        raw = values.get(_IFA_LOCAL) or values[_IFA_ADDRESS]
        flags |= int.from_bytes(values.get(_IFA_FLAGS, b""), "little")
        states = (_IFA_F_TEMPORARY, _IFA_F_DEPRECATED, _IFA_F_TENTATIVE, _IFA_F_DADFAILED)
        found.append(Address(ipaddress.ip_address(raw), prefix_length, index, scope, *(bool(flags & state) for state in states)))
    return found


def list_routes(socket: NetlinkSocket) -> list[Route]:
    """Unicast and unreachable routes of every table; multipath routes show their first hop's link as 0."""
    return [route for family in (4, 6) for route in _list_family(socket, family)]


def _list_family(socket: NetlinkSocket, family: int) -> list[Route]:
    request = Request(RTM_GETROUTE, NLM_F_DUMP, _RTMSG.pack(_AF[family], 0, 0, 0, 0, 0, 0, 0, 0), f"ip -{family} route show table all")
    found = []
    for reply in socket.dump(request):
        _, length, _, _, table, protocol, _, kind, _ = _RTMSG.unpack_from(reply.payload)
        if kind not in (_RTN_UNICAST, _RTN_UNREACHABLE):
            continue
        values = netlink.attribute_map(reply.payload[_RTMSG.size :])
        raw = values.get(_RTA_DST, bytes(4 if family == 4 else 16))
        found.append(
            Route(
                destination=ipaddress.ip_network((raw, length)),
                index=int.from_bytes(values.get(_RTA_OIF, b""), "little"),
                gateway=_optional_address(values, _RTA_GATEWAY),
                metric=int.from_bytes(values.get(_RTA_PRIORITY, b""), "little"),
                table=int.from_bytes(values.get(_RTA_TABLE, b"") or bytes([table]), "little"),
                protocol=protocol,
                kind=kind,
                source=_optional_address(values, _RTA_PREFSRC),
            )
        )
    return found


def _optional_address(values: Mapping[int, bytes], kind: int) -> IPAddress | None:
    return ipaddress.ip_address(values[kind]) if kind in values else None
