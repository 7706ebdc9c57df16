"""What a rule is made of on the wire: expressions that load, compare and look up registers.

There are sixteen registers of four bytes; a value takes as many as it needs, a concatenation lies in
consecutive ones. A `Statement` prints itself as nft text and encodes itself into expressions. `Scope` is what
the statements of one rule share: which protocol is already certain (nft calls these dependencies: an IPv4
field may only be read from an IPv4 packet), and the anonymous sets made on the way.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from agent.kernel.netlink import be32, nested, text
from agent.kernel.nft import wire
from agent.kernel.nft.wire import Family

if TYPE_CHECKING:
    from agent.kernel.nft.objects import AnonymousSet


def register(slot: int) -> int:
    """NFT_REG32_00 and following; slot 0 is nft's "reg 1"."""
    return 8 + slot


VERDICT_REGISTER = 0


def expression(name: str, *attributes: bytes) -> bytes:
    return nested(wire.LIST_ELEMENT, text(wire.EXPR_NAME, name), nested(wire.EXPR_DATA, *attributes))


def compare(data: bytes, *, is_equal: bool = True) -> bytes:
    """`data` shorter than what was loaded compares only a prefix (device names with a wildcard)."""
    return expression("cmp", be32(1, register(0)), be32(2, 0 if is_equal else 1), wire.value(3, data))


def bitwise(mask: bytes, xor: bytes) -> bytes:
    """register 0 = (register 0 & mask) ^ xor"""
    here = register(0)
    return expression("bitwise", be32(1, here), be32(2, here), be32(3, len(mask)), wire.value(4, mask), wire.value(5, xor))


def immediate(data: bytes) -> bytes:
    return expression("immediate", be32(1, register(0)), wire.value(2, data))


def meta_load(key: int, slot: int = 0) -> bytes:
    return expression("meta", be32(1, register(slot)), be32(2, key))


class Guard(Enum):
    """A protocol that must be certain before a field of its header is read."""

    ETHER = "ether"
    IP = "ip"
    IP6 = "ip6"
    ARP = "arp"
    ICMP = "icmp"
    ICMP6 = "icmp6"


_ETHERTYPE = {Guard.IP: b"\x08\x00", Guard.IP6: b"\x86\xdd", Guard.ARP: b"\x08\x06"}
_NFPROTO = {Guard.IP: b"\x02", Guard.IP6: b"\x0a"}
_L4PROTO = {Guard.ICMP: b"\x01", Guard.ICMP6: b"\x3a"}
_BELOW = {Guard.ICMP: Guard.IP, Guard.ICMP6: Guard.IP6}
_CERTAIN = {Family.IP: Guard.IP, Family.IP6: Guard.IP6, Family.ARP: Guard.ARP, Family.BRIDGE: Guard.ETHER}
_LEARNED: dict[tuple[str, object], Guard] = {
    ("ether type", "ip"): Guard.IP,
    ("ether type", "ip6"): Guard.IP6,
    ("ether type", "arp"): Guard.ARP,
    ("meta protocol", "ip"): Guard.IP,
    ("meta protocol", "ip6"): Guard.IP6,
    ("meta nfproto", "ipv4"): Guard.IP,
    ("meta nfproto", "ipv6"): Guard.IP6,
    ("meta l4proto", "icmp"): Guard.ICMP,
    ("meta l4proto", "ipv6-icmp"): Guard.ICMP6,
}
_META_PROTOCOL, _META_IIFTYPE, _META_NFPROTO, _META_L4PROTO = 1, 8, 15, 16
_ETHERNET_DEVICE = (1).to_bytes(2, sys.byteorder)


@dataclass(slots=True)
class Scope:
    """One rule being encoded. `anonymous` puts a set before the rule and returns its name and number in the batch."""

    family: Family
    anonymous: Callable[[AnonymousSet], tuple[str, int]]
    certain: set[Guard] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.family in _CERTAIN:
            self.certain.add(_CERTAIN[self.family])

    def require(self, guard: Guard | None) -> Iterator[bytes]:
        """The comparisons that make `guard` certain, if it is not yet."""
        if guard is None or guard in self.certain:
            return
        self.certain.add(guard)
        if guard is Guard.ETHER:
            yield from (meta_load(_META_IIFTYPE), compare(_ETHERNET_DEVICE))
        elif guard in _BELOW:
            yield from self.require(_BELOW[guard])
            yield from (meta_load(_META_L4PROTO), compare(_L4PROTO[guard]))
        elif self.family is Family.INET:
            yield from (meta_load(_META_NFPROTO), compare(_NFPROTO[guard]))
        else:
            yield from (meta_load(_META_PROTOCOL), compare(_ETHERTYPE[guard]))

    def learn(self, field: str, value: object) -> None:
        """A comparison just made certain what a later field needs."""
        guard = _LEARNED.get((field, value))
        if guard is not None:
            self.certain.add(guard)


class Statement(Protocol):
    def __str__(self) -> str: ...

    def encode(self, scope: Scope) -> Iterator[bytes]:
        """The statement's expressions, in order."""
