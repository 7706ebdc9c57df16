"""From policies and endpoints to what the kernel holds: subjects, and one ruling for each distinct stack of policies. Pure.

    stack    the rules that judge one endpoint in one direction and family, in order: the policy tuple. What depends on
             the subject is resolved in it, so that pods of one Deployment have the same
    ruling   its answer to each peer: `peers` by address, else `cells` by interval of addresses, else `rest`
    subject  an address and direction with its ruling; who is no subject is not judged

Each answer is one value (traffic.py) and is found by at most three lookups, whatever the number of pods and policies.
A peer that would get its interval's answer anyway is not listed. `compile_` does all from nothing, the plain way;
engine.py gets to the same by steps.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from ipaddress import ip_address
from itertools import pairwise
from typing import NamedTuple

from agent.objects.calico_selector import Selector
from agent.objects.meta import IPAddress, IPNetwork
from agent.policy.rules import ANY, Direction, Endpoint, Identity, NamedPort, Peer, Policy, PolicySet, Ports, Rule
from agent.policy.traffic import EVERY, Action, Condition, Entry, Spans, Stage, Traffic, complement, flatten, spans

FAMILIES = (4, 6)
_BITS = {4: 32, 6: 128}


class Level(NamedTuple):
    """One tier of a stack. `policies` are only names."""

    policies: tuple[str, ...]
    rules: tuple[Rule, ...]
    end: Action

    def __str__(self) -> str:
        return "\n".join((f"[{', '.join(self.policies)}]", *map(str, self.rules), f"end {self.end}"))


@dataclass(frozen=True)
class Stack:
    direction: Direction
    family: int
    levels: tuple[Level, ...]
    end: Action

    @cached_property
    def name(self) -> str:
        text = "\n".join((*map(str, self.levels), f"end {self.end}"))
        return f"{self.direction}{self.family}-{hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}"

    @property
    def title(self) -> str:
        return ", ".join(name for level in self.levels for name in level.policies)

    @property
    def rules(self) -> Iterator[Rule]:
        return (rule for level in self.levels for rule in level.rules)


class Cell(NamedTuple):
    first: int
    last: int
    traffic: Traffic


@dataclass
class Ruling:
    stack: Stack
    rest: Traffic
    cells: tuple[Cell, ...] = ()
    peers: dict[IPAddress, Traffic] = field(default_factory=dict)
    by_labels: dict[tuple[Identity, tuple[NamedPort, ...]], Traffic] | None = field(default=None, compare=False, repr=False)
    """Where no rule names a network: answers that were worked out, for all pods of such labels and ports."""

    def answer(self, peer: IPAddress) -> Traffic:
        found = self.peers.get(peer)
        return self.stranger(peer) if found is None else found

    def stranger(self, address: IPAddress) -> Traffic:
        """What an address gets that belongs to nobody we know."""
        position = bisect_right(self.cells, int(address), key=lambda cell: cell.first) - 1
        if position >= 0 and int(address) <= self.cells[position].last:
            return self.cells[position].traffic
        return self.rest


Subject = tuple[Direction, IPAddress]


class Flow(NamedTuple):
    """A connection by its keys: who opened it, whom it reaches behind any translation, and the ports there."""

    source: IPAddress
    destination: IPAddress
    protocol: int
    source_port: int
    destination_port: int


@dataclass
class Program:
    subjects: dict[Subject, str] = field(default_factory=dict)
    rulings: dict[str, Ruling] = field(default_factory=dict)

    def allows(self, flow: Flow) -> bool:
        """What the kernel does with every packet of a flow through the node."""
        if flow.source == flow.destination:
            return True
        return self._allows(Direction.FROM, flow.source, flow.destination, flow) and self._allows(
            Direction.TO, flow.destination, flow.source, flow
        )

    def _allows(self, direction: Direction, subject: IPAddress, peer: IPAddress, flow: Flow) -> bool:
        name = self.subjects.get((direction, subject))
        if name is None:
            return True
        outcome = self.rulings[name].answer(peer).outcome(flow.protocol, flow.source_port, flow.destination_port)
        return outcome.is_allowed


def compile_(policies: PolicySet, endpoints: Iterable[Endpoint]) -> Program:
    program, everybody = Program(), tuple(endpoints)
    for subject, stack in ((s, stack) for each in everybody for s, stack in stacks(policies, each)):
        program.subjects[subject] = stack.name
        if stack.name not in program.rulings:
            ruling = program.rulings[stack.name] = ruling_of(stack)
            for peer in everybody:
                ruling.peers.update(listed(ruling, peer))
    return program


# -- stacks -----------------------------------------------------------------------------------------------------------


def stacks(policies: PolicySet, subject: Endpoint) -> Iterator[tuple[Subject, Stack]]:
    """Nothing in a direction in which no policy judges it."""

    def chosen(tier: int) -> Iterator[Policy]:
        return (each for each in policies.tiers[tier].policies if each.applies_to.matches(subject.identity.labels))

    for direction in Direction if subject.is_local else ():
        yield from stacks_of(levels(policies, chosen, direction), subject, direction, policies.end)


def levels(policies: PolicySet, chosen: Callable[[int], Iterable[Policy]], direction: Direction) -> tuple[Level, ...]:
    """The tiers that have a say. `chosen` gives the policies of the n-th that select an endpoint, in their order."""
    found = []
    for number, tier in enumerate(policies.tiers):
        judging = [(each.name, rules) for each in chosen(number) if (rules := each.rules(direction)) is not None]
        if judging:
            names = tuple(name for name, _ in judging)
            found.append(Level(names, tuple(rule for _, rules in judging for rule in rules), tier.end))
    return tuple(found)


def stacks_of(found: tuple[Level, ...], subject: Endpoint, direction: Direction, end: Action) -> Iterator[tuple[Subject, Stack]]:
    for address in subject.addresses if found else ():
        resolved = tuple(level._replace(rules=tuple(_resolved(level.rules, direction, subject, address))) for level in found)
        yield (direction, address), Stack(direction, address.version, resolved, end)


def selectors(stack: Stack) -> set[Selector]:
    """Those that peers are asked."""
    return {each for rule in stack.rules for each in (rule.peer.selector, rule.peer.not_selector) if each is not None}


def port_names(stack: Stack) -> set[str]:
    """Those that peers resolve."""
    ports = (each for rule in stack.rules for each in (rule.ports, rule.not_ports, rule.source_ports, rule.not_source_ports))
    return {name for each in ports if each is not None for name in each.names}


def _resolved(rules: Iterable[Rule], direction: Direction, subject: Endpoint, address: IPAddress) -> Iterator[Rule]:
    """Without rules of the other family, or that the subject does not meet; its own named ports are numbers."""
    for rule in rules:
        if rule.family not in (None, address.version) or not _meets(rule.own, subject.identity, address):
            continue
        peer = _of_family(rule.peer, address.version)
        if peer is None:
            continue
        if direction is Direction.TO and _has_names(rule.ports, rule.not_ports):
            known = partial(_numbers, known=subject.ports, protocol=rule.protocol)
            rule = replace(rule, ports=known(rule.ports), not_ports=rule.not_ports and known(rule.not_ports))  # noqa: PLW2901
        if direction is Direction.FROM and _has_names(rule.source_ports, rule.not_source_ports):
            known = partial(_numbers, known=subject.ports, protocol=rule.protocol)
            not_ports = rule.not_source_ports and known(rule.not_source_ports)
            rule = replace(rule, source_ports=known(rule.source_ports), not_source_ports=not_ports)  # noqa: PLW2901
        yield rule if rule.own == ANY and peer == rule.peer else replace(rule, own=ANY, peer=peer)


def _has_names(*ports: Ports | None) -> bool:
    return any(each is not None and each.names for each in ports)


def _of_family(peer: Peer, family: int) -> Peer | None:
    """None: no address of this family can match any more."""
    if peer.nets is None and not (peer.not_nets or peer.selected or peer.not_selected):
        return peer
    nets = None if peer.nets is None else _only(peer.nets, family)
    not_nets = _only(peer.not_nets, family)
    if nets == () or any(each.prefixlen == 0 for each in not_nets):
        return None
    return replace(peer, nets=nets, not_nets=not_nets, selected=_only(peer.selected, family), not_selected=_only(peer.not_selected, family))


def _only(nets: tuple[IPNetwork, ...], family: int) -> tuple[IPNetwork, ...]:
    return tuple(each for each in nets if each.version == family)


def _numbers(ports: Ports, known: tuple[NamedPort, ...], protocol: int | None) -> Ports:
    named = ((each.port, each.port) for each in known if each.name in ports.names and protocol in (None, each.protocol))
    return Ports(spans((*ports.numbers, *named)))


# -- rulings ----------------------------------------------------------------------------------------------------------


def ruling_of(stack: Stack) -> Ruling:
    """For strangers. The caller fills in the peers."""
    rest = _traffic(stack, None, None)
    nets = _nets(stack)
    return Ruling(stack, rest, tuple(_cells(stack, nets, rest)), by_labels=None if nets else {})


def listed(ruling: Ruling, peer: Endpoint) -> dict[IPAddress, Traffic]:
    """The peer's addresses that get another answer than a stranger there would."""
    found = {}
    for address in peer.addresses:
        if address.version == ruling.stack.family:
            traffic = _answer(ruling, peer, address)
            if traffic != ruling.stranger(address):
                found[address] = traffic
    return found


def _answer(ruling: Ruling, peer: Endpoint, address: IPAddress) -> Traffic:
    if ruling.by_labels is None:
        return _traffic(ruling.stack, peer, address)
    key = peer.identity, peer.ports
    known = ruling.by_labels.get(key)
    if known is None:
        known = ruling.by_labels[key] = _traffic(ruling.stack, peer, address)
    return known


def _traffic(stack: Stack, peer: Endpoint | None, address: IPAddress | None) -> Traffic:
    stages = tuple(Stage(tuple(_entries(level, stack.direction, peer, address)), level.end) for level in stack.levels)
    return flatten(stages, stack.end)


def _entries(level: Level, direction: Direction, peer: Endpoint | None, address: IPAddress | None) -> Iterator[Entry]:
    identity = None if peer is None else peer.identity
    ports = () if peer is None else peer.ports
    for rule in level.rules:
        if _meets(rule.peer, identity, address):
            yield Entry(_condition(rule, ports), rule.action, rule.prefix)


def _meets(peer: Peer, identity: Identity | None, address: IPAddress | None) -> bool:
    """`address` None: one that is in no net that is named anywhere."""
    if peer is ANY:
        return True
    if peer.selector is not None and not _is_selected(peer.selector, peer.selected, identity, address):
        return False
    if peer.not_selector is not None and _is_selected(peer.not_selector, peer.not_selected, identity, address):
        return False
    if peer.nets is not None and not _is_in(peer.nets, address):
        return False
    return not _is_in(peer.not_nets, address)


def _is_selected(selector: Selector, nets: tuple[IPNetwork, ...], identity: Identity | None, address: IPAddress | None) -> bool:
    return (identity is not None and selector.matches(identity.labels)) or _is_in(nets, address)


def _is_in(nets: tuple[IPNetwork, ...], address: IPAddress | None) -> bool:
    if not nets or address is None:
        return False
    if len(nets) < 4:
        return any(address in each for each in nets)
    starts, ends = _ranges(nets, address.version)
    position = bisect_right(starts, int(address)) - 1
    return position >= 0 and int(address) <= ends[position]


@lru_cache(maxsize=1 << 12)
def _ranges(nets: tuple[IPNetwork, ...], family: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Disjoint and sorted."""
    starts: list[int] = []
    ends: list[int] = []
    for first, last in sorted((int(each.network_address), int(each.broadcast_address)) for each in nets if each.version == family):
        if ends and first <= ends[-1] + 1:
            ends[-1] = max(ends[-1], last)
        else:
            starts.append(first)
            ends.append(last)
    return tuple(starts), tuple(ends)


def _condition(rule: Rule, known: tuple[NamedPort, ...]) -> Condition:
    """Names that are left are the peer's."""
    sources = _spans(rule.source_ports, rule.not_source_ports, known, rule.protocol)
    return Condition(rule.protocol, rule.not_protocol, sources, _spans(rule.ports, rule.not_ports, known, rule.protocol))


def _spans(ports: Ports, not_ports: Ports | None, known: tuple[NamedPort, ...], protocol: int | None) -> Spans:
    wanted = _numbers(ports, known, protocol).numbers if ports.names else ports.numbers
    if not_ports is None:
        return wanted
    unwanted = complement(_numbers(not_ports, known, protocol).numbers)
    return unwanted if wanted == EVERY else _intersection(wanted, unwanted)


def _intersection(one: Spans, other: Spans) -> Spans:
    return spans((max(a.first, b.first), min(a.last, b.last)) for a in one for b in other if max(a.first, b.first) <= min(a.last, b.last))


def _nets(stack: Stack) -> set[IPNetwork]:
    return {
        net
        for rule in stack.rules
        for nets in (rule.peer.nets, rule.peer.not_nets, rule.peer.selected, rule.peer.not_selected)
        for net in nets or ()
    }


def _cells(stack: Stack, nets: set[IPNetwork], rest: Traffic) -> Iterator[Cell]:
    """Disjoint intervals with one answer each, neighbours of the same answer joined; what gets `rest` is left out."""
    edges = sorted({edge for net in nets for edge in (int(net.network_address), int(net.broadcast_address) + 1)})
    waiting: Cell | None = None
    for first, behind in pairwise(edges):
        traffic = _traffic(stack, None, _address(first, stack.family))
        if waiting is not None and waiting.traffic == traffic and waiting.last + 1 == first:
            waiting = waiting._replace(last=behind - 1)
            continue
        if waiting is not None and waiting.traffic != rest:
            yield waiting
        waiting = Cell(first, behind - 1, traffic)
    if waiting is not None and waiting.traffic != rest:
        yield waiting


def _address(number: int, family: int) -> IPAddress:
    return ip_address(number.to_bytes(_BITS[family] // 8, "big"))
