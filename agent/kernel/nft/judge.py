"""What another tool's base chain would do with a packet that does not exist yet: the answer, without sending one.

An interpreter of the expressions that decide about forwarding: devices, addresses, protocols, ports, connection state,
sets and verdict maps. A rule with an expression it does not know (an x_tables match, a rate limit) is taken not to
match: tools accept with conditions and drop at the end, so in doubt the packet is taken to be dropped.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from agent.kernel.netlink import attribute_map
from agent.kernel.nft import wire
from agent.kernel.nft.listing import ChainState, Expression, Member, Members, RuleState, TableContent
from agent.kernel.nft.verdict import ACCEPT, DROP, RETURN, Verdict, decode_verdict
from agent.objects.meta import IPAddress

_Key = TypeVar("_Key")
_Found = TypeVar("_Found")
_TCP, _SYN = 6, 0x02
_NF_FAMILY = {4: 2, 6: 10}
_ETHERTYPE = {4: 0x0800, 6: 0x86DD}
_NEW_CONNECTION, _DESTINATION_NAT = 8, 32
_NETWORK, _TRANSPORT = 1, 2
_REGISTER_BYTES = 4
_DEEPEST = 16
"""The kernel's own limit of jumps within jumps."""
_COMPARE: Mapping[int, Callable[[bytes, bytes], bool]] = dict(
    enumerate((operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge))
)


class _Unknown(Exception):
    """The expression is beyond us: its rule counts as not matching."""


class _NoMatch(Exception):
    """The rule does not match the packet."""


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a TCP connection on its way through the node. `is_translated`: its destination was (DNAT)."""

    iifname: str
    oifname: str
    source: IPAddress
    destination: IPAddress
    iif: int = 0
    oif: int = 0
    is_translated: bool = False
    source_port: int = 40_000
    destination_port: int = 443

    @property
    def network_header(self) -> bytes:
        if self.source.version == 4:
            fixed = struct.pack(">BBHHHBBH", 0x45, 0, 40, 0, 0, 64, _TCP, 0)
        else:
            fixed = struct.pack(">IHBB", 6 << 28, 20, _TCP, 64)
        return fixed + self.source.packed + self.destination.packed

    @property
    def transport_header(self) -> bytes:
        return struct.pack(">HHIIBBHHH", self.source_port, self.destination_port, 0, 0, 5 << 4, _SYN, 0xFFFF, 0, 0)

    def meta(self, key: int) -> bytes:
        version = self.source.version
        known = {
            1: _ETHERTYPE[version].to_bytes(2, "big"),
            3: bytes(4),
            4: struct.pack("=I", self.iif),
            5: struct.pack("=I", self.oif),
            6: self.iifname.encode().ljust(16, b"\0"),
            7: self.oifname.encode().ljust(16, b"\0"),
            15: bytes((_NF_FAMILY[version],)),
            16: bytes((_TCP,)),
        }
        return _known(known, key)

    def connection(self, key: int) -> bytes:
        """State, direction, status, mark."""
        status = _DESTINATION_NAT if self.is_translated else 0
        return _known({0: struct.pack("=I", _NEW_CONNECTION), 1: b"\0", 2: struct.pack("=I", status), 3: bytes(4)}, key)


@dataclass(frozen=True, slots=True)
class Judgement:
    """`chain` is where it was said; `is_policy` when no rule did and the base chain's policy holds."""

    is_dropped: bool
    chain: str
    is_policy: bool = False

    def __str__(self) -> str:
        verb = "drop" if self.is_dropped else "accept"
        return f"policy {verb} of chain {self.chain}" if self.is_policy else f"a rule of chain {self.chain} that {verb}s"


def judge(content: TableContent, base: ChainState, packet: Packet) -> Judgement:
    return _Judge(content, packet).judge(base)


class _Judge:
    def __init__(self, content: TableContent, packet: Packet) -> None:
        self._content, self._packet = content, packet
        self._registers = bytearray(16 * _REGISTER_BYTES)

    @cached_property
    def _steps(self) -> Mapping[str, Callable[[Mapping[int, bytes]], Verdict | None]]:
        return {
            "meta": self._meta,
            "ct": self._ct,
            "payload": self._payload,
            "cmp": self._cmp,
            "range": self._range,
            "bitwise": self._bitwise,
            "lookup": self._lookup,
            "immediate": self._immediate,
            "match": _match,
            "target": _target,
            "reject": lambda _: DROP,
            "queue": lambda _: ACCEPT,
            **dict.fromkeys(("counter", "log", "notrack", "last", "objref"), lambda _: None),
        }

    def judge(self, base: ChainState) -> Judgement:
        found = self._walk(base.name, 0)
        return found or Judgement(base.policy == "drop", base.name, is_policy=True)

    def _walk(self, chain: str, depth: int) -> Judgement | None:
        """None: the end of the chain, or a return."""
        for rule in self._content.rules.get(chain, ()):
            verdict = self._verdict(rule)
            if verdict is None:
                continue
            if verdict in (ACCEPT, DROP):
                return Judgement(verdict == DROP, chain)
            if verdict == RETURN:
                return None
            if depth < _DEEPEST and verdict.chain:
                found = self._walk(verdict.chain, depth + 1)
                if found or verdict.name == "goto":
                    return found
        return None

    def _verdict(self, rule: RuleState) -> Verdict | None:
        try:
            for expression in rule.expressions:
                verdict = self._step(expression)
                if verdict is not None:
                    return verdict
        except (_NoMatch, _Unknown):
            pass
        return None

    def _step(self, expression: Expression) -> Verdict | None:
        return _known(self._steps, expression.name)(expression.attributes)

    def _meta(self, found: Mapping[int, bytes]) -> None:
        if 1 in found:
            self._store(found[1], self._packet.meta(_number(found[2])))

    def _ct(self, found: Mapping[int, bytes]) -> None:
        if 1 in found:
            self._store(found[1], self._packet.connection(_number(found[2])))

    def _payload(self, found: Mapping[int, bytes]) -> None:
        if 1 not in found:
            return
        base, offset, length = (_number(found[kind]) for kind in (2, 3, 4))
        header = _known({_NETWORK: self._packet.network_header, _TRANSPORT: self._packet.transport_header}, base)
        if offset + length > len(header):
            raise _NoMatch
        self._store(found[1], header[offset : offset + length])

    def _cmp(self, found: Mapping[int, bytes]) -> None:
        wanted = _value(found[3])
        if not _known(_COMPARE, _number(found[2]))(self._load(found[1], len(wanted)), wanted):
            raise _NoMatch

    def _range(self, found: Mapping[int, bytes]) -> None:
        low, high = _value(found[3]), _value(found[4])
        is_inside = low <= self._load(found[1], len(low)) <= high
        if is_inside == bool(_number(found[2])):
            raise _NoMatch

    def _bitwise(self, found: Mapping[int, bytes]) -> None:
        if _number(found.get(6, b"")):
            raise _Unknown
        mask, xor = _value(found[4]), _value(found[5])
        here = self._load(found[1], len(mask))
        self._store(found[2], bytes(one & keep ^ flip for one, keep, flip in zip(here, mask, xor, strict=True)))

    def _lookup(self, found: Mapping[int, bytes]) -> Verdict | None:
        members = _known(self._content.sets, found[1].rstrip(b"\0").decode())
        member = _find(members, self._registers, _offset(found[2]))
        if (member is not None) == bool(_number(found.get(5, b""))):
            raise _NoMatch
        return decode_verdict(member.verdict) if member is not None and member.verdict else None

    def _immediate(self, found: Mapping[int, bytes]) -> Verdict | None:
        inner = attribute_map(found[2])
        if wire.DATA_VERDICT in inner:
            verdict = decode_verdict(inner[wire.DATA_VERDICT])
            return None if verdict.name == "continue" else verdict
        self._store(found[1], inner[wire.DATA_VALUE])
        return None

    def _store(self, register: bytes, data: bytes) -> None:
        start = _offset(register)
        self._registers[start : start + len(data)] = data

    def _load(self, register: bytes, length: int) -> bytes:
        start = _offset(register)
        return bytes(self._registers[start : start + length])


def _match(found: Mapping[int, bytes]) -> None:
    if found[1].rstrip(b"\0") != b"comment":
        raise _Unknown


def _target(found: Mapping[int, bytes]) -> Verdict | None:
    """Other targets (LOG, MARK …) let the packet go on."""
    return DROP if found[1].rstrip(b"\0") == b"REJECT" else None


def _offset(register: bytes) -> int:
    """1 to 4 are the old registers of sixteen bytes, 8 and following the new ones of four, in the same place."""
    number = _number(register)
    return (number - 1) * 16 if number < 8 else (number - 8) * _REGISTER_BYTES


def _find(members: Members, registers: bytearray, start: int) -> Member | None:
    below: Member | None = None
    for member in members.members:
        key = bytes(registers[start : start + len(member.key)])
        if member.end:
            if _is_between(member.key, key, member.end):
                return member
        elif not members.is_interval:
            if key == member.key:
                return member
        elif member.key <= key and (below is None or (below.key, not below.is_end) < (member.key, not member.is_end)):
            below = member
    return below if below is not None and not below.is_end else None


def _is_between(low: bytes, key: bytes, high: bytes) -> bool:
    """Field by field, as a concatenation of ranges is compared; every field fills whole registers."""
    words = range(0, len(low), _REGISTER_BYTES)
    return all(low[at : at + 4] <= key[at : at + 4] <= high[at : at + 4] for at in words)


def _value(payload: bytes) -> bytes:
    return attribute_map(payload)[wire.DATA_VALUE]


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _known(table: Mapping[_Key, _Found], key: _Key) -> _Found:
    if key not in table:
        raise _Unknown
    return table[key]
