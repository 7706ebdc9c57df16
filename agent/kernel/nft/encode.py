"""Objects to netlink messages.

What the kernel forces: an anonymous set comes before the rule that uses it and is found by its number in the
batch; an attribute is at most 64 KiB, so long lists of elements are cut. An interval is one element with a key and
a key end where keys are concatenated; where they are not it is two, the second flagged as the end and just behind it.
The user data is what libnftables writes, so that `nft list` reads like what we print.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from agent.kernel.netlink import NLM_F_APPEND, NLM_F_CREATE, attr, be32, nested, text
from agent.kernel.nft import wire
from agent.kernel.nft.expression import Scope
from agent.kernel.nft.objects import AnonymousSet, Chain, DataTypes, Element, Rule, Set, Table
from agent.kernel.nft.verdict import Verdict
from agent.kernel.nft.wire import ChainAttr, ElementAttr, ElementListAttr, Family, HookAttr, Msg, RuleAttr, SetAttr, SetFlag, TableAttr

ELEMENT_LIST_BYTES = 48 << 10
_TYPE_BITS = 6
_HOOKS = {"prerouting": 0, "input": 1, "forward": 2, "output": 3, "postrouting": 4}
_NETDEV_HOOKS = {"ingress": 0}
_POLICIES = {"drop": 0, "accept": 1}
_COMMENT = 0
_SET_KEY_ORDER, _SET_DATA_ORDER, _SET_KEY_TYPEOF, _SET_DATA_TYPEOF, _SET_DATA_INTERVAL, _SET_COMMENT = 0, 1, 3, 4, 6, 7
_EXPR_CONCAT = 13


@dataclass(frozen=True, slots=True)
class Message:
    """Without its sequence number. `subject` is what an error is about."""

    kind: int
    flags: int
    body: bytes
    subject: Table | Chain | Set | tuple[Chain, Rule] | tuple[Element, ...]


def table_message(table: Table, flags: int = 0) -> Message:
    userdata = attr(TableAttr.USERDATA, userdata_text(_COMMENT, table.comment)) if table.comment else b""
    body = wire.nfgenmsg(table.family) + text(TableAttr.NAME, table.name) + be32(TableAttr.FLAGS, flags) + userdata
    return Message(Msg.NEWTABLE.kind, NLM_F_CREATE, body, table)


def chain_message(chain: Chain) -> Message:
    body = table_head(chain.table) + text(ChainAttr.NAME, chain.name)
    hook = chain.hook
    if hook is not None:
        numbers = _NETDEV_HOOKS if chain.table.family is Family.NETDEV else _HOOKS
        device = text(HookAttr.DEVICE, hook.device) if hook.device else b""
        priority = attr(HookAttr.PRIORITY, struct.pack(">i", hook.priority))
        body += nested(ChainAttr.HOOK, be32(HookAttr.NUMBER, numbers[hook.point]), priority, device)
        body += be32(ChainAttr.POLICY, _POLICIES[hook.policy]) + text(ChainAttr.TYPE, hook.type)
    return Message(Msg.NEWCHAIN.kind, NLM_F_CREATE, body, chain)


def flush_message(chain: Chain) -> Message:
    """Deletes every rule of the chain; the chain must exist."""
    return Message(Msg.DELRULE.kind, 0, table_head(chain.table) + text(RuleAttr.CHAIN, chain.name), chain)


def rule_messages(chain: Chain, rule: Rule, numbers: Iterator[int]) -> Iterator[Message]:
    """The rule, after the anonymous sets it uses. `numbers` are unused set numbers of this batch."""
    before: list[Message] = []

    def put_anonymous(values: AnonymousSet) -> tuple[str, int]:
        number = next(numbers)
        name = "__map%d" if values.is_map else "__set%d"
        a_set, elements = values.named(chain.table, name)
        before.append(set_message(a_set, number, SetFlag.ANONYMOUS | SetFlag.CONSTANT))
        before.extend(element_messages(Msg.NEWSETELEM, a_set, elements, number))
        return name, number

    scope = Scope(chain.table.family, put_anonymous)
    expressions = b"".join(part for statement in rule.statements for part in statement.encode(scope))
    userdata = attr(RuleAttr.USERDATA, userdata_text(_COMMENT, rule.comment)) if rule.comment else b""
    body = table_head(chain.table) + text(RuleAttr.CHAIN, chain.name) + nested(RuleAttr.EXPRESSIONS, expressions) + userdata
    yield from before
    yield Message(Msg.NEWRULE.kind, NLM_F_CREATE | NLM_F_APPEND, body, (chain, rule))


def set_message(a_set: Set, number: int, flags: int = 0) -> Message:
    is_concatenated = len(a_set.key) > 1
    flags |= (SetFlag.INTERVAL if a_set.is_interval else 0) | (SetFlag.MAP if a_set.data is not None else 0)
    description = b""
    if a_set.is_interval and is_concatenated:
        flags |= SetFlag.CONCAT
        lengths = (nested(wire.LIST_ELEMENT, be32(wire.FIELD_LENGTH, part.length)) for part in a_set.key)
        description = nested(SetAttr.DESC, nested(wire.DESC_CONCAT, *lengths))
    body = table_head(a_set.table) + text(SetAttr.NAME, a_set.name) + be32(SetAttr.FLAGS, flags)
    body += be32(SetAttr.KEY_TYPE, _type_number(a_set.key)) + be32(SetAttr.KEY_LEN, _length(a_set.key))
    if a_set.data == "verdict":
        body += be32(SetAttr.DATA_TYPE, wire.DATA_TYPE_VERDICT) + be32(SetAttr.DATA_LEN, 0)
    elif a_set.data is not None:
        body += be32(SetAttr.DATA_TYPE, _type_number(a_set.data)) + be32(SetAttr.DATA_LEN, _length(a_set.data))
    body += be32(SetAttr.ID, number) + description + attr(SetAttr.USERDATA, _set_userdata(a_set))
    return Message(Msg.NEWSET.kind, NLM_F_CREATE, body, a_set)


def _type_number(types: DataTypes) -> int:
    number = 0
    for part in types:
        number = number << _TYPE_BITS | part.number
    return number


def _length(types: DataTypes) -> int:
    return types[0].length if len(types) == 1 else sum(part.padded_length for part in types)


def _set_userdata(a_set: Set) -> bytes:
    data = _udata_u32(_SET_KEY_ORDER, _order(a_set.key))
    if a_set.data is not None:
        data += _udata_u32(_SET_DATA_ORDER, 0 if a_set.data == "verdict" else _order(a_set.data))
    if a_set.typeof:
        data += _udata(_SET_KEY_TYPEOF, _typeof_concatenation([part.userdata for part in a_set.typeof]))
    elif len(a_set.key) > 1:
        data += _udata(_SET_KEY_TYPEOF, _typeof_concatenation([]))
    if isinstance(a_set.data, tuple) and len(a_set.data) > 1:
        data += _udata(_SET_DATA_TYPEOF, _typeof_concatenation([]))
    if a_set.data is not None:
        data += _udata_u32(_SET_DATA_INTERVAL, 0)
    return data + (userdata_text(_SET_COMMENT, a_set.comment) if a_set.comment else b"")


def _order(types: DataTypes) -> int:
    return types[0].userdata_order if len(types) == 1 else 0


def _typeof_concatenation(parts: Sequence[bytes]) -> bytes:
    members = b"".join(_udata(index, part) for index, part in enumerate(parts))
    return _udata_u32(0, _EXPR_CONCAT) + _udata(1, members)


def _udata(kind: int, data: bytes) -> bytes:
    return bytes((kind, len(data))) + data


def _udata_u32(kind: int, value: int) -> bytes:
    return _udata(kind, struct.pack("=I", value))


def userdata_text(kind: int, value: str) -> bytes:
    return _udata(kind, value.encode() + b"\0")


def element_messages(kind: Msg, a_set: Set, elements: Iterable[Element], number: int = 0) -> Iterator[Message]:
    """As many messages as the elements need; `number` refers to a set made in the same batch."""
    head = set_head(a_set) if not number else set_head(a_set) + be32(ElementListAttr.SET_ID, number)
    flags = NLM_F_CREATE if kind is Msg.NEWSETELEM else 0
    parts: list[bytes] = []
    subjects: list[Element] = []
    size = 0
    for element in elements:
        part = element_attributes(element)
        if size + len(part) > ELEMENT_LIST_BYTES:
            yield Message(kind.kind, flags, head + nested(ElementListAttr.ELEMENTS, *parts), tuple(subjects))
            parts, subjects, size = [], [], 0
        parts.append(part)
        subjects.append(element)
        size += len(part)
    if parts:
        yield Message(kind.kind, flags, head + nested(ElementListAttr.ELEMENTS, *parts), tuple(subjects))


def element_attributes(element: Element) -> bytes:
    a_set = element.set
    data = _data_attribute(element)
    if not a_set.is_interval:
        return nested(wire.LIST_ELEMENT, wire.value(ElementAttr.KEY, joined(a_set.key, element.key)), data)
    bounds = [part.bounds(value) for part, value in zip(a_set.key, element.key, strict=True)]
    if len(bounds) > 1:
        low, high = (b"".join(pad(bound[end]) for bound in bounds) for end in (0, 1))
        return nested(wire.LIST_ELEMENT, wire.value(ElementAttr.KEY, low), wire.value(ElementAttr.KEY_END, high), data)
    ((low, high),) = bounds
    start = nested(wire.LIST_ELEMENT, wire.value(ElementAttr.KEY, low), data)
    behind = int.from_bytes(high, "big") + 1
    if behind >> 8 * len(high):
        return start
    end = wire.value(ElementAttr.KEY, behind.to_bytes(len(high), "big"))
    return start + nested(wire.LIST_ELEMENT, be32(ElementAttr.FLAGS, wire.ELEMENT_INTERVAL_END), end)


def _data_attribute(element: Element) -> bytes:
    if element.data is None:
        return b""
    if isinstance(element.data, Verdict):
        return nested(ElementAttr.DATA, element.data.data)
    assert isinstance(element.set.data, tuple)
    return wire.value(ElementAttr.DATA, joined(element.set.data, element.data))


def joined(types: DataTypes, values: Sequence[object]) -> bytes:
    """A key or data value; in a concatenation each part is padded to four bytes."""
    if len(types) == 1:
        return types[0].encode(values[0])  # type: ignore[arg-type]
    return b"".join([pad(part.encode(value)) for part, value in zip(types, values, strict=True)])  # type: ignore[arg-type]


def pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


@lru_cache(maxsize=4096)
def set_head(a_set: Set) -> bytes:
    """What every message about elements of `a_set` starts with."""
    return named_set_head(a_set.table, a_set.name)


def named_set_head(table: Table, name: str) -> bytes:
    return wire.nfgenmsg(table.family) + text(ElementListAttr.TABLE, table.name) + text(ElementListAttr.SET, name)


def table_head(table: Table) -> bytes:
    """Table names have the number 1 in every message."""
    return wire.nfgenmsg(table.family) + text(TableAttr.NAME, table.name)


def removal_message(subject: Table | Chain | Set, *, kind: Msg) -> Message:
    if isinstance(subject, Table):
        return Message(kind.kind, 0, table_head(subject), subject)
    name = ChainAttr.NAME if isinstance(subject, Chain) else SetAttr.NAME
    return Message(kind.kind, 0, table_head(subject.table) + text(name, subject.name), subject)


def set_numbers() -> Iterator[int]:
    return itertools.count(1)
