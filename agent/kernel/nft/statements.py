"""What a rule does apart from its verdict: marks, address translation, counting, logging, limiting, refusing, handing over."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from agent.kernel.netlink import attr, be32, text, u8
from agent.kernel.nft.datatypes import ADDRESS, MARK
from agent.kernel.nft.expression import Scope, bitwise, expression, immediate, register
from agent.kernel.nft.fields import ct_mark, mark
from agent.kernel.nft.match import Field, load_all, lookup
from agent.kernel.nft.objects import Set
from agent.objects.meta import IPAddress

_ALL_BITS = 0xFFFFFFFF
_NF_FAMILY = {4: 2, 6: 10}
_DNAT, _MAP_ADDRESSES, _MAP_PORTS, _FULLY_RANDOM = 1, 0x1, 0x2, 0x10
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True)
class SetMark:
    """`value` None keeps the mark's bits but those of `clear` and sets those of `add`."""

    target: Field = mark
    value: int | None = None
    add: int = 0
    keep: int = _ALL_BITS

    def __str__(self) -> str:
        name = self.target.text
        if self.value is not None:
            return f"{name} set {MARK.text(self.value)}"
        if self.add:
            return f"{name} set {name} | {MARK.text(self.add)}"
        return f"{name} set {name} & {MARK.text(self.keep)}"

    def encode(self, scope: Scope) -> Iterator[bytes]:
        if self.value is not None:
            yield immediate(MARK.encode(self.value))
        else:
            yield self.target.load()
            yield bitwise(MARK.encode(self.keep & ~self.add), MARK.encode(self.add))
        is_meta = self.target.name == "meta"
        yield expression(self.target.name, self.target.attributes, be32(3 if is_meta else 4, register(0)))


def set_mark(value: int) -> SetMark:
    return SetMark(value=value)


def add_mark(bits: int) -> SetMark:
    return SetMark(add=bits)


def clear_mark(bits: int) -> SetMark:
    return SetMark(keep=_ALL_BITS & ~bits)


def set_ct_mark(value: int) -> SetMark:
    return SetMark(target=ct_mark, value=value)


@dataclass(frozen=True)
class DnatByMap:
    """Destination address and port from a map `key : address . port`."""

    family: int
    key: tuple[Field, ...]
    map: Set

    def __str__(self) -> str:
        name = "ip" if self.family == 4 else "ip6"
        return f"dnat {name} to {' . '.join(field.text for field in self.key)} map @{self.map.name}"

    def encode(self, scope: Scope) -> Iterator[bytes]:
        yield from load_all(self.key, scope)
        yield lookup(self.map, scope, destination=register(0))
        address, port = register(0), register(ADDRESS[self.family].padded_length // 4)
        yield expression(
            "nat",
            be32(1, _DNAT),
            be32(2, _NF_FAMILY[self.family]),
            *(be32(3, address), be32(4, address), be32(5, port), be32(6, port)),
            be32(7, _MAP_ADDRESSES | _MAP_PORTS),
        )


def dnat(family: int, key: tuple[Field, ...], to: Set) -> DnatByMap:
    return DnatByMap(family, key, to)


@dataclass(frozen=True)
class DnatTo:
    """One destination address; the port stays."""

    family: int
    address: IPAddress

    def __str__(self) -> str:
        return f"dnat {'ip' if self.family == 4 else 'ip6'} to {self.address}"

    def encode(self, scope: Scope) -> Iterator[bytes]:
        yield immediate(self.address.packed)
        address = register(0)
        yield expression(
            "nat", be32(1, _DNAT), be32(2, _NF_FAMILY[self.family]), be32(3, address), be32(4, address), be32(7, _MAP_ADDRESSES)
        )


@dataclass(frozen=True)
class Masquerade:
    is_fully_random: bool = False

    def __str__(self) -> str:
        return "masquerade fully-random" if self.is_fully_random else "masquerade"

    def encode(self, scope: Scope) -> Iterator[bytes]:
        yield expression("masq", *([be32(1, _FULLY_RANDOM)] if self.is_fully_random else []))


def masquerade(*, fully_random: bool = False) -> Masquerade:
    return Masquerade(fully_random)


@dataclass(frozen=True)
class Counter:
    def __str__(self) -> str:
        return "counter"

    def encode(self, scope: Scope) -> Iterator[bytes]:
        yield expression("counter")


COUNTER = Counter()


@dataclass(frozen=True)
class Log:
    """To an nflog group."""

    group: int
    prefix: str = ""

    def __str__(self) -> str:
        return f'log prefix "{self.prefix}" group {self.group}' if self.prefix else f"log group {self.group}"

    def encode(self, scope: Scope) -> Iterator[bytes]:
        yield expression("log", attr(1, self.group.to_bytes(2, "big")), *([text(2, self.prefix)] if self.prefix else []))


def log(group: int, prefix: str = "") -> Log:
    return Log(group, prefix)


@dataclass(frozen=True)
class Limit:
    rate: int
    unit: Literal["second", "minute", "hour", "day"]
    burst: int

    def __str__(self) -> str:
        return f"limit rate {self.rate}/{self.unit} burst {self.burst} packets"

    def encode(self, scope: Scope) -> Iterator[bytes]:
        rate, unit = self.rate.to_bytes(8, "big"), _SECONDS[self.unit].to_bytes(8, "big")
        yield expression("limit", attr(1, rate), attr(2, unit), be32(3, self.burst), be32(4, 0), be32(5, 0))


def limit(rate: int, unit: Literal["second", "minute", "hour", "day"] = "second", burst: int = 5) -> Limit:
    return Limit(rate, unit, burst)


@dataclass(frozen=True)
class Reject:
    """`tcp reset`, or an ICMP error of the packet's family saying "administratively prohibited"."""

    is_tcp_reset: bool = False

    def __str__(self) -> str:
        return "reject with tcp reset" if self.is_tcp_reset else "reject with icmpx type admin-prohibited"

    def encode(self, scope: Scope) -> Iterator[bytes]:
        kind, code = (1, 0) if self.is_tcp_reset else (2, 3)
        yield expression("reject", be32(1, kind), u8(2, code))


REJECT = Reject()
REJECT_TCP_RESET = Reject(is_tcp_reset=True)


@dataclass(frozen=True)
class ForwardTo:
    """Netdev family: the packet leaves by another device. It is the index that the kernel knows, the name is for people."""

    device: str
    index: int

    def __str__(self) -> str:
        return f'fwd to "{self.device}"'

    def encode(self, scope: Scope) -> Iterator[bytes]:
        yield immediate(struct.pack("=I", self.index))
        yield expression("fwd", be32(1, register(0)))


def forward_to(device: str, index: int) -> ForwardTo:
    return ForwardTo(device, index)
