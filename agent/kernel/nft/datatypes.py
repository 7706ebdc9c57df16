"""The types of set keys and of what rules compare: how each is written as nft text and as bytes in a register.

A type's number is libnftables' own (the kernel only stores it, so that `nft list` can print the set). Most
values are big-endian; marks, device names and the conntrack bit masks are in host order. In a concatenation
every part is padded to four bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, summarize_address_range
from typing import Literal


@dataclass(frozen=True, slots=True)
class Range:
    """From `low` to `high`, both included, in an interval set: ports, or addresses that make no prefix."""

    low: int | IPv4Address | IPv6Address
    high: int | IPv4Address | IPv6Address


Scalar = IPv4Address | IPv6Address | IPv4Network | IPv6Network | Range | str | int


@dataclass(frozen=True, kw_only=True)
class DataType:
    """`number` and `length` (bytes) as nft knows them."""

    name: str
    number: int
    length: int
    order: Literal["big", "little"] = "big"

    def encode(self, value: Scalar) -> bytes:
        raise NotImplementedError

    def decode(self, data: bytes) -> Scalar:
        raise NotImplementedError

    def text(self, value: Scalar) -> str:
        return str(value)

    def bounds(self, value: Scalar) -> tuple[bytes, bytes]:
        """First and last value of an interval; a single value is both."""
        if isinstance(value, Range):
            return self.encode(value.low), self.encode(value.high)
        data = self.encode(value)
        return data, data

    def interval(self, low: bytes, high: bytes) -> Scalar:
        """What `bounds` made, read back, in its shortest form."""
        first, last = self.decode(low), self.decode(high)
        if first == last or isinstance(first, str | Range | IPv4Network | IPv6Network):
            return first
        assert not isinstance(last, str | Range | IPv4Network | IPv6Network)
        return Range(first, last)

    @property
    def padded_length(self) -> int:
        return (self.length + 3) & ~3

    @property
    def userdata_order(self) -> int:
        """libnftables' byte-order number: 1 host, 2 big-endian."""
        return 2 if self.order == "big" else 1


class _Address(DataType):
    def encode(self, value: Scalar) -> bytes:
        assert isinstance(value, IPv4Address | IPv6Address), f"{value!r} is not a single address"
        return value.packed

    def decode(self, data: bytes) -> Scalar:
        return ip_address(data)

    def text(self, value: Scalar) -> str:
        return f"{value.low}-{value.high}" if isinstance(value, Range) else str(value)

    def bounds(self, value: Scalar) -> tuple[bytes, bytes]:
        if isinstance(value, IPv4Network | IPv6Network):
            return value.network_address.packed, value.broadcast_address.packed
        return super().bounds(value)

    def interval(self, low: bytes, high: bytes) -> Scalar:
        first, last = ip_address(low), ip_address(high)
        if first == last:
            return first
        (network, *more) = summarize_address_range(first, last)
        assert isinstance(network, IPv4Network | IPv6Network)
        return Range(first, last) if more else network


class _LinkAddress(DataType):
    def encode(self, value: Scalar) -> bytes:
        return bytes.fromhex(str(value).replace(":", ""))

    def decode(self, data: bytes) -> Scalar:
        return data.hex(":")


class _Name(DataType):
    def encode(self, value: Scalar) -> bytes:
        return str(value).encode().ljust(16, b"\0")

    def decode(self, data: bytes) -> Scalar:
        return data.rstrip(b"\0").decode()

    def text(self, value: Scalar) -> str:
        return f'"{value}"'


@dataclass(frozen=True, kw_only=True)
class Number(DataType):
    """An integer whose values may have names. A named value is written, and read back, by its name."""

    names: Mapping[str, int] = field(default_factory=dict, hash=False)
    base: Literal["d", "x"] = "d"

    def encode(self, value: Scalar) -> bytes:
        return self.number_of(value).to_bytes(self.length, self.order)

    def number_of(self, value: Scalar) -> int:
        if isinstance(value, str):
            return self.names[value]
        assert isinstance(value, int), f"{value!r} is not a number"
        return value

    def decode(self, data: bytes) -> Scalar:
        number = int.from_bytes(data, self.order)
        return next((name for name, known in self.names.items() if known == number), number)

    def text(self, value: Scalar) -> str:
        if isinstance(value, Range):
            return f"{self.text(value.low)}-{self.text(value.high)}"
        if isinstance(value, str):
            return value
        return f"0x{value:08x}" if self.base == "x" else str(value)


class _RawAddress(DataType):
    """An IPv6 address inside a header nft has no name for: to nft it is a 128-bit integer."""

    def encode(self, value: Scalar) -> bytes:
        assert isinstance(value, IPv6Address)
        return value.packed

    def decode(self, data: bytes) -> Scalar:
        return IPv6Address(data)

    def text(self, value: Scalar) -> str:
        assert isinstance(value, IPv6Address)
        return f"0x{int(value):032x}"


HOST: Literal["big", "little"] = sys.byteorder

IPV4 = _Address(name="ipv4_addr", number=7, length=4)
IPV6 = _Address(name="ipv6_addr", number=8, length=16)
ADDRESS = {4: IPV4, 6: IPV6}
ETHER = _LinkAddress(name="ether_addr", number=9, length=6, order=HOST)
IFNAME = _Name(name="ifname", number=41, length=16, order=HOST)
RAW_IPV6 = _RawAddress(name="integer", number=4, length=16)
SERVICE = Number(name="inet_service", number=13, length=2)
MARK = Number(name="mark", number=19, length=4, order=HOST, base="x")
PROTOCOL = Number(
    name="inet_proto",
    number=12,
    length=1,
    names={"icmp": 1, "tcp": 6, "udp": 17, "ipv6-icmp": 58, "sctp": 132, "udplite": 136, "esp": 50, "ah": 51},
)
NFPROTO = Number(name="nf_proto", number=2, length=1, order=HOST, names={"ipv4": 2, "ipv6": 10})
ETHERTYPE = Number(name="ether_type", number=10, length=2, names={"ip": 0x0800, "arp": 0x0806, "ip6": 0x86DD, "8021q": 0x8100})
ARP_HARDWARE = Number(name="integer", number=4, length=2)
ICMP_TYPE = Number(
    name="icmp_type", number=14, length=1, names={"echo-reply": 0, "destination-unreachable": 3, "redirect": 5, "echo-request": 8}
)
ICMP6_TYPE = Number(
    name="icmpv6_type",
    number=29,
    length=1,
    names={
        "destination-unreachable": 1,
        "packet-too-big": 2,
        "time-exceeded": 3,
        "parameter-problem": 4,
        "echo-request": 128,
        "echo-reply": 129,
        "mld-listener-query": 130,
        "mld-listener-report": 131,
        "mld-listener-done": 132,
        "nd-router-solicit": 133,
        "nd-router-advert": 134,
        "nd-neighbor-solicit": 135,
        "nd-neighbor-advert": 136,
        "nd-redirect": 137,
        "mld2-listener-report": 143,
    },
)
CT_STATE = Number(
    name="ct_state", number=26, length=4, order=HOST, names={"invalid": 1, "established": 2, "related": 4, "new": 8, "untracked": 64}
)
CT_DIRECTION = Number(name="ct_dir", number=27, length=1, order=HOST, names={"original": 0, "reply": 1})
CT_STATUS = Number(
    name="ct_status",
    number=28,
    length=4,
    order=HOST,
    names={"expected": 1, "seen-reply": 2, "assured": 4, "confirmed": 8, "snat": 16, "dnat": 32, "dying": 512},
)
PACKET_TYPE = Number(name="pkt_type", number=31, length=1, order=HOST, names={"host": 0, "broadcast": 1, "multicast": 2, "other": 3})
ADDRESS_TYPE = Number(
    name="fib_addrtype", number=43, length=4, order=HOST, names={"unicast": 1, "local": 2, "broadcast": 3, "multicast": 5}
)
FLAG = Number(name="integer", number=4, length=1)
"""A yes (1) or no (0) that nft has no type for."""
