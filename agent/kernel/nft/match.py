"""What a rule looks at: fields of a packet, its devices and its connection, compared or looked up.

A `Field` knows its nft name, its type and how it is loaded into a register; comparing it makes a statement:

    iifname.is_("pwv*")                       iifname "pwv*"
    daddr(4).is_(IPv4Network("127.0.0.0/8"))  ip daddr 127.0.0.0/8
    ct_status.has("dnat")                     ct status dnat
    mark.masked(0x80, 0)                      meta mark & 0x00000080 == 0x00000000
    concat(iifname, ether_saddr).in_(a_set)   iifname . ether saddr @a_set
    saddr(4).vmap(a_map)                      ip saddr vmap @a_map
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from agent.kernel.netlink import be32, text
from agent.kernel.nft.datatypes import DataType, Number, Scalar
from agent.kernel.nft.expression import VERDICT_REGISTER, Guard, Scope, bitwise, compare, expression, register
from agent.kernel.nft.objects import AnonymousSet, Set
from agent.kernel.nft.verdict import Verdict

_LOOKUP_INVERTED = 1


@dataclass(frozen=True)
class Field:
    """`name` and `attributes` are those of the kernel's expression; the destination register is added.

    `guard` is the protocol whose header it lies in, `userdata` how libnftables records it in `typeof`.
    """

    text: str
    type: DataType
    name: str
    attributes: bytes
    guard: Guard | None = None
    userdata: bytes = b""
    register_attribute: int = 1

    def load(self, slot: int = 0) -> bytes:
        return expression(self.name, be32(self.register_attribute, register(slot)), self.attributes)

    def is_(self, value: Scalar) -> Compare:
        return Compare(self, value)

    def is_not(self, value: Scalar) -> Compare:
        return Compare(self, value, is_equal=False)

    def has(self, *flags: str) -> Flags:
        """At least one of these bits of a bit mask."""
        return Flags(self, flags)

    def lacks(self, *flags: str) -> Flags:
        """None of these bits of a bit mask."""
        return Flags(self, flags, is_set=False)

    def masked(self, mask: int, value: int) -> Masked:
        return Masked(self, mask, value)

    def in_(self, values: Set | tuple[Scalar, ...]) -> Lookup:
        return Lookup((self,), values if isinstance(values, Set) else _anonymous(self, values))

    def not_in(self, values: Set | tuple[Scalar, ...]) -> Lookup:
        return Lookup((self,), values if isinstance(values, Set) else _anonymous(self, values), is_inverted=True)

    def vmap(self, verdicts: Set | Mapping[Scalar, Verdict]) -> Lookup:
        if isinstance(verdicts, Set):
            return Lookup((self,), verdicts, is_vmap=True)
        entries = tuple(((value,), verdict) for value, verdict in verdicts.items())
        return Lookup((self,), AnonymousSet((self.type,), entries), is_vmap=True)


def _anonymous(of: Field, values: tuple[Scalar, ...]) -> AnonymousSet:
    return AnonymousSet((of.type,), tuple(((value,), None) for value in values))


@dataclass(frozen=True)
class Concatenation:
    fields: tuple[Field, ...]

    def in_(self, a_set: Set) -> Lookup:
        return Lookup(self.fields, a_set)

    def not_in(self, a_set: Set) -> Lookup:
        return Lookup(self.fields, a_set, is_inverted=True)

    def vmap(self, verdicts: Set) -> Lookup:
        return Lookup(self.fields, verdicts, is_vmap=True)


def concat(*fields: Field) -> Concatenation:
    return Concatenation(fields)


@dataclass(frozen=True)
class Compare:
    """A field against one value, an address prefix, or a device name whose `*` ends it."""

    field: Field
    value: Scalar
    is_equal: bool = True

    def __str__(self) -> str:
        return f"{self.field.text} {'' if self.is_equal else '!= '}{self.field.type.text(self.value)}"

    def encode(self, scope: Scope) -> Iterator[bytes]:
        yield from scope.require(self.field.guard)
        yield self.field.load()
        if isinstance(self.value, IPv4Network | IPv6Network):
            yield bitwise(self.value.netmask.packed, bytes(self.field.type.length))
            yield compare(self.value.network_address.packed, is_equal=self.is_equal)
        elif isinstance(self.value, str) and self.value.endswith("*"):
            yield compare(self.value[:-1].encode(), is_equal=self.is_equal)
        else:
            yield compare(self.field.type.encode(self.value), is_equal=self.is_equal)
        if self.is_equal:
            scope.learn(self.field.text, self.value)


@dataclass(frozen=True)
class Flags:
    field: Field
    flags: tuple[str, ...]
    is_set: bool = True

    def __str__(self) -> str:
        if not self.is_set:
            return f"{self.field.text} & ({'|'.join(self.flags)}) == 0"
        return f"{self.field.text} {','.join(self.flags)}"

    def encode(self, scope: Scope) -> Iterator[bytes]:
        kind = self.field.type
        assert isinstance(kind, Number)
        bits = sum(kind.number_of(flag) for flag in self.flags)
        yield self.field.load()
        yield bitwise(kind.encode(bits), bytes(kind.length))
        yield compare(bytes(kind.length), is_equal=not self.is_set)


@dataclass(frozen=True)
class Masked:
    field: Field
    mask: int
    value: int

    def __str__(self) -> str:
        kind = self.field.type
        return f"{self.field.text} & {kind.text(self.mask)} == {kind.text(self.value)}"

    def encode(self, scope: Scope) -> Iterator[bytes]:
        kind = self.field.type
        yield self.field.load()
        yield bitwise(kind.encode(self.mask), bytes(kind.length))
        yield compare(kind.encode(self.value))


def load_all(fields: tuple[Field, ...], scope: Scope) -> Iterator[bytes]:
    """The fields in consecutive registers, as a set with concatenated keys wants them."""
    for field in fields:
        yield from scope.require(field.guard)
    slot = 0
    for field in fields:
        yield field.load(slot)
        slot += field.type.padded_length // 4


@dataclass(frozen=True)
class Lookup:
    fields: tuple[Field, ...]
    values: Set | AnonymousSet
    is_inverted: bool = False
    is_vmap: bool = False

    def __str__(self) -> str:
        relation = " vmap" if self.is_vmap else " !=" if self.is_inverted else ""
        return f"{' . '.join(field.text for field in self.fields)}{relation} {set_reference(self.values)}"

    def encode(self, scope: Scope) -> Iterator[bytes]:
        yield from load_all(self.fields, scope)
        yield lookup(self.values, scope, is_inverted=self.is_inverted, destination=VERDICT_REGISTER if self.is_vmap else None)


def set_reference(values: Set | AnonymousSet) -> str:
    return f"@{values.name}" if isinstance(values, Set) else str(values)


def lookup(values: Set | AnonymousSet, scope: Scope, *, is_inverted: bool = False, destination: int | None = None) -> bytes:
    name, number = (values.name, 0) if isinstance(values, Set) else scope.anonymous(values)
    attributes = [text(1, name), be32(2, register(0))]
    if destination is not None:
        attributes.append(be32(3, destination))
    if number:
        attributes.append(be32(4, number))
    if is_inverted:
        attributes.append(be32(5, _LOOKUP_INVERTED))
    return expression("lookup", *attributes)
