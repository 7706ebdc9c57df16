"""The program as nftables values, and a change of the program as two batches. Pure.

    policy-forward   empty while nobody is judged; else: by family into policy4 or policy6
    policy4          what the source's ruling says (map `policy-from4`), then what the destination's says (`policy-to4`)
    policy-local4    from policy-input and -output: the source's only, for the node always reaches its pods
    from4-…, to4-…   one ruling: the peer in a hash map, else in a map of intervals, else the rest
    l4-…             one answer (traffic.py): by protocol and ports; `return` allows

Source and destination are the connection's, by conntrack's keys: replies, translated packets and ICMP errors ask the
same maps. What has no connection is judged by its own addresses, and refused where a ruling exists.
All but the maps' elements is named by its content and never changes. One element is one whole decision, so a change of
several goes by what old and new both allow: two lookups of one packet never combine to what neither did.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, summarize_address_range

from agent.kernel.nft import (
    DROP,
    RETURN,
    VERDICT,
    Batch,
    Chain,
    Element,
    Rule,
    Ruleset,
    Set,
    Table,
    Verdict,
    destroy,
    goto,
    jump,
    put,
    replace,
    rule,
)
from agent.kernel.nft.batch import Object
from agent.kernel.nft.datatypes import ADDRESS, Range, Scalar
from agent.kernel.nft.expression import Statement
from agent.kernel.nft.fields import ct_address, ct_port, ct_protocol, ct_state, ct_status, daddr, icmpv6_type, l4proto, nfproto, saddr
from agent.kernel.nft.match import Field, concat
from agent.kernel.nft.statements import REJECT, REJECT_TCP_RESET, limit, log
from agent.objects.meta import IPAddress
from agent.policy.compile import FAMILIES, Cell, Program, Ruling, Subject
from agent.policy.engine import Delta
from agent.policy.rules import Direction
from agent.policy.traffic import ALLOW_ALL, DENY_ALL, EVERY, ICMP, ICMPV6, NAMES, Outcome, Row, Span, Traffic, both

FORWARD, INPUT, OUTPUT, DENY, STATELESS = "policy-forward", "policy-input", "policy-output", "policy-deny", "policy-stateless"
_NEIGHBOURS = ("nd-router-solicit", "nd-router-advert", "nd-neighbor-solicit", "nd-neighbor-advert")
_NFPROTO = {4: "ipv4", 6: "ipv6"}
_COMMENT_CHARACTERS = 120
_BYTES = {4: 4, 6: 16}


@dataclass(frozen=True, slots=True)
class Options:
    """`selves`: per family the set of (address . address) pairs of pods that reach themselves by a host port."""

    table: Table
    selves: tuple[tuple[int, Set], ...]
    reevaluates: bool = True
    rejects: bool = False
    log_group: int = 73
    log_rate: int = 100
    """Denied packets a second that are told of."""


@dataclass
class _Changes:
    put: list[Object] = field(default_factory=list)
    gone: list[Object] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.put or self.gone)

    def batch(self) -> Batch:
        return put(*self.put) + destroy(*self.gone)


@dataclass
class Renderer:
    """Remembers how often each answer is used, and so which chains are there."""

    options: Options
    _uses: Counter[Traffic] = field(default_factory=Counter)

    def whole(self, program: Program) -> Ruleset:
        """Everything, as it should stand."""
        rulings = program.rulings.values()
        answers = {traffic for ruling in rulings for traffic in _answers(ruling)}
        sets = [*self.maps(), *(each for ruling in rulings for each in self.maps_of(ruling))]
        chains = [
            *self._fixed_chains(),
            *self._entries(bool(program.subjects)),
            *(self._traffic_chain(traffic) for traffic in answers if not is_plain(traffic)),
            *(self._ruling_chain(ruling) for ruling in rulings),
        ]
        return Ruleset((), tuple(sets), tuple(chains), tuple(self.elements(program, sets)))

    def elements(self, program: Program, sets: Collection[Set]) -> Iterator[Element]:
        """Those of some of the maps."""
        wanted = set(sets)
        if any(a_set in wanted for a_set in self.maps()):
            found = (self._subject(subject, jump(name)) for subject, name in program.subjects.items())
            yield from (element for element in found if element.set in wanted)
        for ruling in program.rulings.values():
            if self.peers(ruling) in wanted:
                yield from self._elements_of(ruling)

    def reset(self, program: Program) -> None:
        """`program` is what the kernel holds from now on."""
        self._uses = Counter(traffic for ruling in program.rulings.values() for traffic in _answers(ruling))

    def batches(self, delta: Delta) -> tuple[Batch, ...]:
        """One, or two where the change both revokes and grants: first to what old and new both allow, then to the new."""
        first, second = _Changes(), _Changes()
        middles = self._change_peers(delta, first, second)
        bridges = self._change_subjects(delta, first, second)
        fresh: list[Object] = [self._traffic_chain(traffic) for traffic in self._count(delta, middles)]
        for ruling in delta.born:
            fresh += [*self.maps_of(ruling), self._ruling_chain(ruling), *self._elements_of(ruling)]
        before = replace(*fresh, *bridges) + first.batch()
        after = second.batch() + destroy(*bridges) + self._cleared(delta, middles)
        if first and second:
            return before, after
        return (before + after,) if before or after else ()

    # -- what is always there ---------------------------------------------------------------------------------

    def maps(self) -> Iterator[Set]:
        for family in FAMILIES:
            for direction in Direction:
                yield self.subjects(direction, family)

    def subjects(self, direction: Direction, family: int) -> Set:
        return Set(self.options.table, f"policy-{direction}{family}", (ADDRESS[family],), VERDICT)

    def _chain(self, name: str, *rules: Rule) -> Chain:
        return Chain(self.options.table, name, rules)

    def _entries(self, is_active: bool) -> tuple[Chain, ...]:
        """Neighbour discovery has no connection and always passes."""
        if not is_active:
            return tuple(self._chain(name) for name in (FORWARD, INPUT, OUTPUT))
        survive = () if self.options.reevaluates else (rule(ct_state.has("established", "related"), RETURN),)
        stateless = rule(ct_state.has("invalid", "untracked"), jump(STATELESS))
        neighbours = rule(icmpv6_type.in_(_NEIGHBOURS), RETURN)
        through, local = (
            rule(nfproto.vmap({_NFPROTO[family]: goto(f"policy{where}{family}") for family in FAMILIES})) for where in ("", "-local")
        )
        return (
            self._chain(FORWARD, *survive, stateless, through),
            self._chain(INPUT, *survive, neighbours, stateless, local),
            self._chain(OUTPUT, *survive, local),
        )

    def _fixed_chains(self) -> Iterator[Chain]:
        selves = dict(self.options.selves)
        for family in FAMILIES:
            source, destination = ct_address(family, "original", "saddr"), ct_address(family, "reply", "saddr")
            itself = rule(ct_status.has("dnat"), concat(source, destination).in_(selves[family]), RETURN)
            judged = (
                rule(source.vmap(self.subjects(Direction.FROM, family))),
                rule(destination.vmap(self.subjects(Direction.TO, family))),
            )
            yield self._chain(f"policy{family}", itself, *judged)
            yield self._chain(f"policy-local{family}", judged[0])
        stateless = (
            rule(end(family).vmap(self.subjects(direction, family)))
            for family in FAMILIES
            for end, direction in ((saddr, Direction.FROM), (daddr, Direction.TO))
        )
        yield self._chain(STATELESS, *stateless)
        told = rule(limit(self.options.log_rate, burst=self.options.log_rate), log(self.options.log_group, DENY))
        refusals = (rule(l4proto.is_("tcp"), REJECT_TCP_RESET), rule(REJECT)) if self.options.rejects else (rule(DROP),)
        yield self._chain(DENY, told, *refusals)

    # -- rulings ----------------------------------------------------------------------------------------------

    def peers(self, ruling: Ruling) -> Set:
        return Set(self.options.table, f"peers-{ruling.stack.name}", (ADDRESS[ruling.stack.family],), VERDICT)

    def nets(self, ruling: Ruling) -> Set:
        return Set(self.options.table, f"nets-{ruling.stack.name}", (ADDRESS[ruling.stack.family],), VERDICT, is_interval=True)

    def maps_of(self, ruling: Ruling) -> Iterator[Set]:
        yield self.peers(ruling)
        if ruling.cells:
            yield self.nets(ruling)

    def _ruling_chain(self, ruling: Ruling) -> Chain:
        stack = ruling.stack
        direction, end = ("original", "saddr") if stack.direction is Direction.TO else ("reply", "saddr")
        peer = ct_address(stack.family, direction, end)  # type: ignore[arg-type]
        title = stack.title if len(stack.title) <= _COMMENT_CHARACTERS else stack.title[:_COMMENT_CHARACTERS] + "…"
        rules = [rule(ct_state.has("invalid", "untracked"), goto(DENY)), rule(peer.vmap(self.peers(ruling)), comment=title)]
        if ruling.cells:
            rules.append(rule(peer.vmap(self.nets(ruling))))
        return self._chain(stack.name, *rules, rule(verdict(ruling.rest)))

    def _elements_of(self, ruling: Ruling) -> Iterator[Element]:
        for address, traffic in ruling.peers.items():
            yield self._peer(ruling, address, traffic)
        for cell in ruling.cells:
            yield Element(self.nets(ruling), (_interval(cell, ruling.stack.family),), verdict(cell.traffic))

    def _peer(self, ruling: Ruling, address: IPAddress, traffic: Traffic) -> Element:
        return Element(self.peers(ruling), (address,), verdict(traffic))

    def _subject(self, subject: Subject, to: Verdict) -> Element:
        direction, address = subject
        return Element(self.subjects(direction, address.version), (address,), to)

    # -- changes ----------------------------------------------------------------------------------------------

    def _change_peers(self, delta: Delta, first: _Changes, second: _Changes) -> list[Traffic]:
        """Returns the answers that are there in between only."""
        middles = []
        for ruling, address, old, new in delta.peers:
            stranger = ruling.stranger(address)
            before, after = old or stranger, new or stranger
            middle = both(before, after)
            if middle not in (before, after):
                middles.append(middle)
                first.put.append(self._peer(ruling, address, middle))
            changes = first if middle == after else second
            if new is None:
                changes.gone.append(self._peer(ruling, address, DENY_ALL))
            else:
                changes.put.append(self._peer(ruling, address, new))
        return middles

    def _change_subjects(self, delta: Delta, first: _Changes, second: _Changes) -> list[Chain]:
        """Returns the chains that are there in between only."""
        bridges: dict[str, Chain] = {}
        for subject, old, new in delta.subjects:
            if new is None:
                second.gone.append(self._subject(subject, RETURN))
                continue
            if old is None:
                first.put.append(self._subject(subject, jump(new.stack.name)))
                continue
            bridge = self._bridge(old, new)
            bridges[bridge.name] = bridge
            first.put.append(self._subject(subject, jump(bridge.name)))
            second.put.append(self._subject(subject, jump(new.stack.name)))
        if delta.is_active and not delta.was_active:
            first.put += self._entries(True)
        if delta.was_active and not delta.is_active:
            second.put += self._entries(False)
        return list(bridges.values())

    def _bridge(self, old: Ruling, new: Ruling) -> Chain:
        """Both must allow."""
        names = f"{old.stack.name} {new.stack.name}"
        name = f"both-{hashlib.blake2b(names.encode(), digest_size=6).hexdigest()}"
        return self._chain(name, rule(jump(old.stack.name)), rule(goto(new.stack.name)))

    def _count(self, delta: Delta, middles: list[Traffic]) -> list[Traffic]:
        """Count the new answers in; those whose chains are missing so far."""
        found = [traffic for ruling in delta.born for traffic in _answers(ruling)]
        found += [new for _, _, _, new in delta.peers if new is not None]
        fresh = [each for each in dict.fromkeys((*found, *middles)) if not self._uses[each] and not is_plain(each)]
        self._uses.update(found)
        return fresh

    def _cleared(self, delta: Delta, middles: list[Traffic]) -> Batch:
        """What nobody leads to any more."""
        gone = [traffic for ruling in delta.dead for traffic in _answers(ruling)]
        gone += [old for _, _, old, _ in delta.peers if old is not None]
        self._uses.subtract(gone)
        idle = [each for each in dict.fromkeys((*gone, *middles)) if self._uses[each] <= 0]
        for each in idle:
            del self._uses[each]
        chains = [self._chain(ruling.stack.name) for ruling in delta.dead]
        maps = [each for ruling in delta.dead for each in self.maps_of(ruling)]
        answers = [self._chain(chain_name(each)) for each in idle if not is_plain(each)]
        return destroy(*chains) + destroy(*maps) + destroy(*answers)

    def _traffic_chain(self, traffic: Traffic) -> Chain:
        rules = [each for number, rows in traffic.protocols for each in _protocol_rules(number, rows, traffic.other, self.options)]
        return self._chain(chain_name(traffic), *rules, _final(traffic.other, self.options))


# -- answers ----------------------------------------------------------------------------------------------------------


def is_plain(traffic: Traffic) -> bool:
    """It needs no chain."""
    return traffic in (ALLOW_ALL, DENY_ALL)


def verdict(traffic: Traffic) -> Verdict:
    if traffic == ALLOW_ALL:
        return RETURN
    return goto(DENY if traffic == DENY_ALL else chain_name(traffic))


def chain_name(traffic: Traffic) -> str:
    return f"l4-{traffic.digest}"


def _answers(ruling: Ruling) -> Iterator[Traffic]:
    yield ruling.rest
    yield from (cell.traffic for cell in ruling.cells)
    yield from ruling.peers.values()


def _protocol_rules(number: int, rows: tuple[Row, ...], other: Outcome, options: Options) -> Iterator[Rule]:
    """The outcome with most intervals comes last and names no ports."""
    is_protocol = ct_protocol.is_(NAMES.get(number, number))
    destination = ct_port("original", "dst") if number in (ICMP, ICMPV6) else ct_port("reply", "src")
    by_outcome: Counter[Outcome] = Counter(outcome for row in rows for _, outcome in row.cells)
    most = max(by_outcome, key=lambda outcome: (by_outcome[outcome], outcome == other))
    for row in rows:
        source = () if row.sources == EVERY[0] else (_among(ct_port("original", "src"), [row.sources]),)
        for outcome in dict.fromkeys(each for _, each in row.cells if each != most):
            found = [span for span, each in row.cells if each == outcome]
            ports = () if found == [EVERY[0]] else (_among(destination, found),)
            yield rule(is_protocol, *source, *ports, *_ending(outcome, options))
    if most != other:
        yield rule(is_protocol, *_ending(most, options))


def _among(port: Field, found: list[Span]) -> Statement:
    values: tuple[Scalar, ...] = tuple(span.first if span.first == span.last else Range(span.first, span.last) for span in found)
    if len(values) == 1 and isinstance(values[0], int):
        return port.is_(values[0])
    return port.in_(values)


def _ending(outcome: Outcome, options: Options) -> tuple[Statement, ...]:
    logs = (log(options.log_group, prefix[:_COMMENT_CHARACTERS]) for prefix in outcome.prefixes)
    return (*logs, RETURN if outcome.is_allowed else goto(DENY))


def _final(outcome: Outcome, options: Options) -> Rule:
    return rule(*_ending(outcome, options))


def _interval(cell: Cell, family: int) -> Scalar:
    """In the form in which the kernel's list is read back."""
    first, last = (ip_address(number.to_bytes(_BYTES[family], "big")) for number in (cell.first, cell.last))
    if first == last:
        return first
    network, *more = summarize_address_range(first, last)
    return Range(first, last) if more else network
