"""Netlink dumps back to values: tables, chains, generation, and the elements of a set whose declaration we know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agent.kernel.netlink import Reply, attribute_map, attributes
from agent.kernel.nft import wire
from agent.kernel.nft.datatypes import Scalar
from agent.kernel.nft.objects import Data, DataTypes, Element, Set, Table
from agent.kernel.nft.verdict import decode_verdict
from agent.kernel.nft.wire import ChainAttr, ElementAttr, ElementListAttr, Family, Msg, RuleAttr, SetAttr, TableAttr

_HEADER_BYTES = 4
_COMMENT = 0


@dataclass(frozen=True)
class TableState:
    """A table in the kernel. `owner` is the port id of the netlink socket that alone may write, 0 when anyone may."""

    table: Table
    flags: int
    owner: int

    @property
    def comment(self) -> str:
        return self.table.comment

    @property
    def is_persistent(self) -> bool:
        """It stays when its owner dies."""
        return bool(self.flags & wire.TABLE_PERSIST)


def tables(replies: Iterable[Reply]) -> Iterator[TableState]:
    for reply in replies:
        if reply.kind != Msg.NEWTABLE.kind or not _is_known_family(reply):
            continue
        found = attribute_map(reply.payload[_HEADER_BYTES:])
        table = Table(Family(reply.payload[0]), _text(found[TableAttr.NAME]), _comment(found.get(TableAttr.USERDATA, b"")))
        yield TableState(table, _number(found.get(TableAttr.FLAGS, b"")), _number(found.get(TableAttr.OWNER, b"")))


def _is_known_family(reply: Reply) -> bool:
    return reply.payload[0] in Family._value2member_map_


def names(replies: Iterable[Reply], table: Table, kind: Msg) -> Iterator[str]:
    """Of the chains or sets (NEWCHAIN, NEWSET) of one table; anonymous sets included."""
    name = ChainAttr.NAME if kind is Msg.NEWCHAIN else SetAttr.NAME
    for reply in replies:
        found = attribute_map(reply.payload[_HEADER_BYTES:])
        if reply.kind == kind.kind and _text(found[ChainAttr.TABLE]) == table.name and reply.payload[0] == table.family:
            yield _text(found[name])


def rule_chains(replies: Iterable[Reply], table: Table) -> Iterator[str]:
    """The chain of each rule of one table."""
    for reply in replies:
        found = attribute_map(reply.payload[_HEADER_BYTES:])
        if _text(found[RuleAttr.TABLE]) == table.name and reply.payload[0] == table.family:
            yield _text(found[RuleAttr.CHAIN])


def generation(payload: bytes) -> int:
    return _number(attribute_map(payload[_HEADER_BYTES:])[wire.GEN_ID])


def elements(replies: Iterable[Reply], a_set: Set) -> Iterator[Element]:
    raw = [attribute_map(part) for part in _element_parts(replies)]
    if a_set.is_interval and len(a_set.key) == 1:
        yield from _paired(raw, a_set)
        return
    for found in raw:
        low = _key(found)
        high = _value(found[ElementAttr.KEY_END]) if ElementAttr.KEY_END in found else low
        key = _split(a_set.key, low, high) if a_set.is_interval else split(a_set.key, low)
        yield Element(a_set, key, _data(found, a_set))


def _element_parts(replies: Iterable[Reply]) -> Iterator[bytes]:
    for reply in replies:
        if reply.kind == Msg.NEWSETELEM.kind:
            listed = attribute_map(reply.payload[_HEADER_BYTES:]).get(ElementListAttr.ELEMENTS, b"")
            yield from (part for _, part in attributes(listed))


def _paired(raw: list[dict[int, bytes]], a_set: Set) -> Iterator[Element]:
    """A start belongs to the nearest end above it; one without an end goes to the last value."""
    (kind,) = a_set.key
    behind = sorted(int.from_bytes(_key(found), "big") for found in raw if _is_end(found))
    position = 0
    for found in sorted((found for found in raw if not _is_end(found)), key=_key):
        low = _key(found)
        while position < len(behind) and behind[position] <= int.from_bytes(low, "big"):
            position += 1
        last = behind[position] - 1 if position < len(behind) else (1 << 8 * kind.length) - 1
        yield Element(a_set, (kind.interval(low, last.to_bytes(kind.length, "big")),), _data(found, a_set))


def _is_end(found: dict[int, bytes]) -> bool:
    return bool(_number(found.get(ElementAttr.FLAGS, b"")) & wire.ELEMENT_INTERVAL_END)


def _key(found: dict[int, bytes]) -> bytes:
    return _value(found[ElementAttr.KEY])


def _data(found: dict[int, bytes], a_set: Set) -> Data | None:
    payload = found.get(ElementAttr.DATA)
    if payload is None:
        return None
    inner = attribute_map(payload)
    if wire.DATA_VERDICT in inner:
        return decode_verdict(inner[wire.DATA_VERDICT])
    assert isinstance(a_set.data, tuple)
    return split(a_set.data, inner[wire.DATA_VALUE])


def split(types: DataTypes, data: bytes) -> tuple[Scalar, ...]:
    values: list[Scalar] = []
    offset = 0
    for part in types:
        values.append(part.decode(data[offset : offset + part.length]))
        offset += part.padded_length
    return tuple(values)


def _split(types: DataTypes, low: bytes, high: bytes) -> tuple[Scalar, ...]:
    values: list[Scalar] = []
    offset = 0
    for part in types:
        here = slice(offset, offset + part.length)
        values.append(part.interval(low[here], high[here]))
        offset += part.padded_length
    return tuple(values)


def _value(payload: bytes) -> bytes:
    return attribute_map(payload)[wire.DATA_VALUE]


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _comment(userdata: bytes) -> str:
    offset = 0
    while offset + 2 <= len(userdata):
        kind, length = userdata[offset], userdata[offset + 1]
        if kind == _COMMENT:
            return _text(userdata[offset + 2 : offset + 2 + length])
        offset += 2 + length
    return ""
