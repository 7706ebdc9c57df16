"""Chains, rules and sets of any table, other tools' too, as the kernel lists them.

Ours are compared by digest and never read back; these are read to be judged (judge.py). An expression stays raw:
its name and its attributes. What iptables-nft cannot say in expressions is a `match` or `target` of x_tables.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from agent.kernel.netlink import Reply, attribute_map, attributes
from agent.kernel.nft import wire
from agent.kernel.nft.objects import Table
from agent.kernel.nft.wire import ChainAttr, ElementAttr, ElementListAttr, Family, HookAttr, Msg, RuleAttr, SetAttr, SetFlag

_HEADER_BYTES = 4
_LOOKUP_SET = 1
_POLICIES = {0: "drop", 1: "accept"}
FORWARD = 2
"""The hook's number in every family that has it."""


@dataclass(frozen=True)
class ChainState:
    """`hook` is the hook's number, None for a chain that is only jumped to; `policy` "" there."""

    table: Table
    name: str
    hook: int | None = None
    priority: int = 0
    policy: str = ""


@dataclass(frozen=True)
class Expression:
    name: str
    attributes: Mapping[int, bytes]


@dataclass(frozen=True)
class RuleState:
    chain: str
    expressions: tuple[Expression, ...]


@dataclass(frozen=True)
class Member:
    """An element, raw. `end`: the last key of a range (concatenations). `is_end`: the first value behind a range."""

    key: bytes
    end: bytes = b""
    is_end: bool = False
    verdict: bytes = b""


@dataclass(frozen=True)
class Members:
    """A set's elements. `is_interval`: a single key belongs to the nearest start below it."""

    is_interval: bool
    members: tuple[Member, ...]


@dataclass(frozen=True)
class TableContent:
    """One table, whole. `sets` are only those that some rule looks up."""

    table: Table
    chains: tuple[ChainState, ...]
    rules: Mapping[str, tuple[RuleState, ...]]
    sets: Mapping[str, Members] = field(default_factory=dict)


def chains(replies: Iterable[Reply]) -> Iterator[ChainState]:
    for reply in replies:
        if reply.kind != Msg.NEWCHAIN.kind or reply.payload[0] not in Family._value2member_map_:
            continue
        found = attribute_map(reply.payload[_HEADER_BYTES:])
        table = Table(Family(reply.payload[0]), _text(found[ChainAttr.TABLE]))
        hook = attribute_map(found.get(ChainAttr.HOOK, b""))
        if HookAttr.NUMBER not in hook:
            yield ChainState(table, _text(found[ChainAttr.NAME]))
            continue
        (priority,) = struct.unpack(">i", hook[HookAttr.PRIORITY])
        policy = _POLICIES[_number(found.get(ChainAttr.POLICY, b"\1"))]
        yield ChainState(table, _text(found[ChainAttr.NAME]), _number(hook[HookAttr.NUMBER]), priority, policy)


def rules(replies: Iterable[Reply], table: Table) -> Iterator[RuleState]:
    for reply in replies:
        if reply.kind != Msg.NEWRULE.kind or reply.payload[0] != table.family:
            continue
        found = attribute_map(reply.payload[_HEADER_BYTES:])
        if _text(found[RuleAttr.TABLE]) == table.name:
            yield RuleState(_text(found[RuleAttr.CHAIN]), tuple(_expressions(found.get(RuleAttr.EXPRESSIONS, b""))))


def _expressions(payload: bytes) -> Iterator[Expression]:
    for _, one in attributes(payload):
        found = attribute_map(one)
        yield Expression(_text(found[wire.EXPR_NAME]), attribute_map(found.get(wire.EXPR_DATA, b"")))


def by_chain(found: Iterable[RuleState]) -> dict[str, tuple[RuleState, ...]]:
    """In their order. A listing gives the rules of one chain together."""
    return {chain: tuple(group) for chain, group in groupby(found, key=lambda rule: rule.chain)}


def looked_up(found: Iterable[RuleState]) -> frozenset[str]:
    """The names of the sets that the rules look into."""
    lookups = (one for rule in found for one in rule.expressions if one.name == "lookup")
    return frozenset(_text(one.attributes[_LOOKUP_SET]) for one in lookups)


def interval_sets(replies: Iterable[Reply], table: Table) -> frozenset[str]:
    """The names of the sets whose elements are ranges."""
    found = (attribute_map(reply.payload[_HEADER_BYTES:]) for reply in replies if _is_set_of(reply, table))
    return frozenset(_text(one[SetAttr.NAME]) for one in found if _number(one.get(SetAttr.FLAGS, b"")) & SetFlag.INTERVAL)


def _is_set_of(reply: Reply, table: Table) -> bool:
    return reply.kind == Msg.NEWSET.kind and reply.payload[0] == table.family


def members(replies: Iterable[Reply]) -> Iterator[Member]:
    for reply in replies:
        if reply.kind == Msg.NEWSETELEM.kind:
            listed = attribute_map(reply.payload[_HEADER_BYTES:]).get(ElementListAttr.ELEMENTS, b"")
            yield from (_member(attribute_map(part)) for _, part in attributes(listed))


def _member(found: Mapping[int, bytes]) -> Member:
    data = attribute_map(found.get(ElementAttr.DATA, b""))
    return Member(
        key=_value(found.get(ElementAttr.KEY, b"")),
        end=_value(found.get(ElementAttr.KEY_END, b"")),
        is_end=bool(_number(found.get(ElementAttr.FLAGS, b"")) & wire.ELEMENT_INTERVAL_END),
        verdict=data.get(wire.DATA_VERDICT, b""),
    )


def _value(payload: bytes) -> bytes:
    return attribute_map(payload).get(wire.DATA_VALUE, b"")


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
