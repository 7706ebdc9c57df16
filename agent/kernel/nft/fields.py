"""The fields rules may look at, named as nft names them. An address family is a parameter: `saddr(6)` is `ip6 saddr`."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Literal

from agent.kernel.netlink import be32, u8
from agent.kernel.nft import datatypes as dt
from agent.kernel.nft.datatypes import DataType
from agent.kernel.nft.expression import Guard
from agent.kernel.nft.match import Field

_LINK, _NETWORK, _TRANSPORT = 0, 1, 2
_IP_GUARD = {4: Guard.IP, 6: Guard.IP6}
_IP_TEXT = {4: "ip", 6: "ip6"}
_SOURCE_OFFSET = {4: 12, 6: 8}
_DESTINATION_OFFSET = {4: 16, 6: 24}
_ORIGINAL, _REPLY = 0, 1
_TYPEOF_META, _TYPEOF_PAYLOAD = 9, 7
_DESC_ETHER, _DESC_ETHER_SADDR = 17, 2


def _meta(text: str, key: int, kind: DataType) -> Field:
    return Field(text, kind, "meta", be32(2, key), userdata=_typeof(_TYPEOF_META, _numbers(key)))


def _payload(text: str, base: int, offset: int, kind: DataType, guard: Guard | None = None) -> Field:
    return Field(text, kind, "payload", be32(2, base) + be32(3, offset) + be32(4, kind.length), guard)


def _raw_transport(offset: int, kind: DataType, guard: Guard) -> Field:
    """Bytes that nft has no name for; its user data counts the bases from 1 and the rest in bits."""
    bits, length = offset * 8, kind.length * 8
    userdata = _typeof(_TYPEOF_PAYLOAD, _numbers(0, 0, _TRANSPORT + 1, bits, length))
    return replace(_payload(f"@th,{bits},{length}", _TRANSPORT, offset, kind, guard), userdata=userdata)


def _typeof(expression: int, data: bytes) -> bytes:
    """How libnftables records a field in a set's declaration."""
    return _numbers(expression) + bytes((1, len(data))) + data


def _numbers(*values: int) -> bytes:
    return b"".join(struct.pack("=BBI", kind, 4, value) for kind, value in enumerate(values))


def _ct(text: str, key: int, kind: DataType, direction: int | None = None) -> Field:
    return Field(text, kind, "ct", be32(2, key) + (b"" if direction is None else u8(3, direction)))


iifname = _meta("iifname", 6, dt.IFNAME)
oifname = _meta("oifname", 7, dt.IFNAME)
protocol = _meta("meta protocol", 1, dt.ETHERTYPE)
mark = _meta("meta mark", 3, dt.MARK)
nfproto = _meta("meta nfproto", 15, dt.NFPROTO)
pkttype = _meta("meta pkttype", 19, dt.PACKET_TYPE)
l4proto = _meta("meta l4proto", 16, dt.PROTOCOL)

ether_daddr = _payload("ether daddr", _LINK, 0, dt.ETHER, Guard.ETHER)
ether_saddr = replace(
    _payload("ether saddr", _LINK, 6, dt.ETHER, Guard.ETHER),
    userdata=_typeof(_TYPEOF_PAYLOAD, _numbers(_DESC_ETHER, _DESC_ETHER_SADDR)),
)
ether_type = _payload("ether type", _LINK, 12, dt.ETHERTYPE, Guard.ETHER)

arp_hardware = _payload("arp htype", _NETWORK, 0, dt.ARP_HARDWARE, Guard.ARP)
arp_protocol = _payload("arp ptype", _NETWORK, 2, dt.ETHERTYPE, Guard.ARP)
arp_saddr_ether = _payload("arp saddr ether", _NETWORK, 8, dt.ETHER, Guard.ARP)
arp_saddr_ip = _payload("arp saddr ip", _NETWORK, 14, dt.IPV4, Guard.ARP)

sport = _payload("th sport", _TRANSPORT, 0, dt.SERVICE)
dport = _payload("th dport", _TRANSPORT, 2, dt.SERVICE)
icmp_type = _payload("icmp type", _TRANSPORT, 0, dt.ICMP_TYPE, Guard.ICMP)
icmpv6_type = _payload("icmpv6 type", _TRANSPORT, 0, dt.ICMP6_TYPE, Guard.ICMP6)
nd_target = _raw_transport(8, dt.RAW_IPV6, Guard.ICMP6)
"""The target address of a neighbour solicitation or advertisement."""


def saddr(family: int) -> Field:
    return _payload(f"{_IP_TEXT[family]} saddr", _NETWORK, _SOURCE_OFFSET[family], dt.ADDRESS[family], _IP_GUARD[family])


def daddr(family: int) -> Field:
    return _payload(f"{_IP_TEXT[family]} daddr", _NETWORK, _DESTINATION_OFFSET[family], dt.ADDRESS[family], _IP_GUARD[family])


ct_state = _ct("ct state", 0, dt.CT_STATE)
ct_direction = _ct("ct direction", 1, dt.CT_DIRECTION)
ct_status = _ct("ct status", 2, dt.CT_STATUS)
ct_mark = _ct("ct mark", 3, dt.MARK)
ct_protocol = _ct("ct protocol", 10, dt.PROTOCOL)
"""Needs `meta l4proto` before it in a concatenation, or nft cannot read its own listing."""


def ct_address(family: int, direction: Literal["original", "reply"], end: Literal["saddr", "daddr"]) -> Field:
    """An address of the connection's tuple as its first packet or its answers carry it. Guard it with `nfproto`."""
    key = {4: 19, 6: 21}[family] + (end == "daddr")
    text = f"ct {direction} {_IP_TEXT[family]} {end}"
    return _ct(text, key, dt.ADDRESS[family], _REPLY if direction == "reply" else _ORIGINAL)


def ct_port(direction: Literal["original", "reply"], end: Literal["src", "dst"]) -> Field:
    return _ct(f"ct {direction} proto-{end}", 11 if end == "src" else 12, dt.SERVICE, _REPLY if direction == "reply" else _ORIGINAL)


fib_daddr_type = Field("fib daddr type", dt.ADDRESS_TYPE, "fib", be32(2, 3) + be32(3, 2))

socket_wildcard = Field("socket wildcard", dt.FLAG, "socket", be32(1, 2), register_attribute=2)
"""1 if the packet's socket is bound to no address. Without a socket on this node the rule does not match."""
