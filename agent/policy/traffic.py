"""What of the traffic between two ends passes, as a function of protocol and ports: canonical, hashable, printable. Pure.

Ordered rules, tiers, Pass and negations are resolved here: `flatten` asks every elementary rectangle of source and
destination ports once and keeps the outcome, so that two lists of rules which mean the same become the same value.
For ICMP the "destination port" is 256 * type + code, as connection tracking keeps it. A protocol that no rule names is
`other`. `both` is what two functions allow alike: the state between an old policy and a new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import NamedTuple

TCP, UDP, SCTP, UDPLITE, ICMP, ICMPV6 = 6, 17, 132, 136, 1, 58
WITH_PORTS = (TCP, UDP, SCTP, UDPLITE)
NAMES = {TCP: "tcp", UDP: "udp", SCTP: "sctp", UDPLITE: "udplite", ICMP: "icmp", ICMPV6: "ipv6-icmp"}
LAST_PORT = 65535


class Span(NamedTuple):
    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


Spans = tuple[Span, ...]
EVERY: Spans = (Span(0, LAST_PORT),)


def spans(found: Iterable[tuple[int, int]]) -> Spans:
    """Sorted, disjoint, and neighbours joined."""
    joined: list[Span] = []
    for first, last in sorted(found):
        if joined and first <= joined[-1].last + 1:
            joined[-1] = Span(joined[-1].first, max(last, joined[-1].last))
        else:
            joined.append(Span(first, last))
    return tuple(joined)


def complement(found: Spans) -> Spans:
    edges = [-1, *(edge for span in found for edge in (span.first, span.last)), LAST_PORT + 1]
    return tuple(Span(low + 1, high - 1) for low, high in zip(edges[::2], edges[1::2], strict=True) if low + 1 <= high - 1)


class Action(StrEnum):
    ALLOW = "allow"
    DENY = "deny"
    PASS = "pass"  # noqa: S105 (a policy's action)
    LOG = "log"


class Condition(NamedTuple):
    """`protocol` None is any but `not_protocol`. Ports other than EVERY match protocols with ports only, and ICMP by number."""

    protocol: int | None = None
    not_protocol: int | None = None
    sources: Spans = EVERY
    destinations: Spans = EVERY

    @property
    def has_ports(self) -> bool:
        return self.sources != EVERY or self.destinations != EVERY

    def concerns(self, protocol: int | None) -> bool:
        """`protocol` None: one that no condition names."""
        if protocol is not None and protocol == self.not_protocol:
            return False
        if self.protocol is not None:
            return protocol == self.protocol
        return not self.has_ports or protocol in WITH_PORTS

    def matches(self, protocol: int | None, source: int, destination: int) -> bool:
        return self.concerns(protocol) and _within(source, self.sources) and _within(destination, self.destinations)


class Entry(NamedTuple):
    condition: Condition
    action: Action
    prefix: str = ""


class Stage(NamedTuple):
    """One tier's rules that concern an end; `end`: what it says when none decided."""

    entries: tuple[Entry, ...]
    end: Action


class Outcome(NamedTuple):
    is_allowed: bool
    prefixes: tuple[str, ...] = ()

    def __str__(self) -> str:
        logged = "".join(f'log "{prefix}" ' for prefix in self.prefixes)
        return logged + ("allow" if self.is_allowed else "deny")


ALLOWED, DENIED = Outcome(True), Outcome(False)


class Row(NamedTuple):
    """For these source ports: the outcomes by destination port, which cover all of them."""

    sources: Span
    cells: tuple[tuple[Span, Outcome], ...]


@dataclass(frozen=True)
class Traffic:
    """`protocols` holds only those that differ from `other`, by number."""

    other: Outcome
    protocols: tuple[tuple[int, tuple[Row, ...]], ...] = ()

    @cached_property
    def _hash(self) -> int:
        return hash((self.other, self.protocols))

    def __hash__(self) -> int:
        return self._hash

    def outcome(self, protocol: int, source: int, destination: int) -> Outcome:
        for number, rows in self.protocols:
            if number == protocol:
                return _at(rows, source, destination)
        return self.other

    @cached_property
    def digest(self) -> str:
        return hashlib.blake2b(str(self).encode(), digest_size=6).hexdigest()

    def __str__(self) -> str:
        return "; ".join((*self._parts(), f"other {self.other}"))

    def _parts(self) -> Iterator[str]:
        for number, rows in self.protocols:
            for row in rows:
                source = "" if row.sources == EVERY[0] else f" from {row.sources}"
                cells = ", ".join(f"{span} {outcome}" for span, outcome in row.cells)
                yield f"{NAMES.get(number, number)}{source} {cells}"


ALLOW_ALL, DENY_ALL = Traffic(ALLOWED), Traffic(DENIED)


@lru_cache(maxsize=1 << 14)
def flatten(stages: tuple[Stage, ...], end: Action) -> Traffic:
    """First match, tier by tier; `end` speaks when no tier did."""
    entries = [entry for stage in stages for entry in stage.entries]

    def ask(protocol: int | None, source: int, destination: int) -> Outcome:
        return _ask(stages, end, protocol, source, destination)

    named = {each for entry in entries for each in (entry.condition.protocol, entry.condition.not_protocol) if each is not None}
    if any(entry.condition.protocol is None and entry.condition.has_ports for entry in entries):
        named.update(WITH_PORTS)
    conditions = {number: [e.condition for e in entries if e.condition.concerns(number)] for number in sorted(named)}
    edges = {
        number: (_edges(c.sources for c in concerned), _edges(c.destinations for c in concerned))
        for number, concerned in conditions.items()
    }
    return _build(ask, edges)


@lru_cache(maxsize=1 << 12)
def both(one: Traffic, other: Traffic) -> Traffic:
    """Allowed by both; what is logged is what `other` logs."""
    if one in (other, ALLOW_ALL) or other == DENY_ALL:
        return other
    edges: dict[int, tuple[list[int], list[int]]] = {}
    for traffic in (one, other):
        for number, rows in traffic.protocols:
            sources, destinations = edges.setdefault(number, ([0], [0]))
            sources += [row.sources.first for row in rows]
            destinations += [span.first for row in rows for span, _ in row.cells]

    def ask(protocol: int | None, source: int, destination: int) -> Outcome:
        first, second = (each.other if protocol is None else each.outcome(protocol, source, destination) for each in (one, other))
        return Outcome(first.is_allowed and second.is_allowed, second.prefixes)

    return _build(ask, {number: (sorted({*s}), sorted({*d})) for number, (s, d) in sorted(edges.items())})


def _build(ask: Callable[[int | None, int, int], Outcome], edges: dict[int, tuple[list[int], list[int]]]) -> Traffic:
    other = ask(None, 0, 0)
    protocols = []
    for number, (sources, destinations) in edges.items():
        rows = _joined_rows(
            Row(source, _joined_cells((span, ask(number, source.first, span.first)) for span in _between(destinations)))
            for source in _between(sources)
        )
        if rows != (Row(EVERY[0], ((EVERY[0], other),)),):
            protocols.append((number, rows))
    return Traffic(other, tuple(protocols))


def _ask(stages: Sequence[Stage], end: Action, protocol: int | None, source: int, destination: int) -> Outcome:
    prefixes: list[str] = []
    for stage in stages:
        verdict = stage.end
        for condition, action, prefix in stage.entries:
            if condition.matches(protocol, source, destination):
                if action is not Action.LOG:
                    verdict = action
                    break
                prefixes.append(prefix)
        if verdict is not Action.PASS:
            return Outcome(verdict is Action.ALLOW, tuple(prefixes))
    return Outcome(end is Action.ALLOW, tuple(prefixes))


def _edges(found: Iterable[Spans]) -> list[int]:
    """Where something may change: the first ports of the elementary intervals."""
    return sorted({0, *(edge for one in found for span in one for edge in (span.first, span.last + 1) if edge <= LAST_PORT)})


def _between(edges: Sequence[int]) -> Iterator[Span]:
    for first, behind in zip(edges, [*edges[1:], LAST_PORT + 1], strict=True):
        yield Span(first, behind - 1)


def _joined_cells(cells: Iterable[tuple[Span, Outcome]]) -> tuple[tuple[Span, Outcome], ...]:
    joined: list[tuple[Span, Outcome]] = []
    for span, outcome in cells:
        if joined and joined[-1][1] == outcome:
            joined[-1] = (Span(joined[-1][0].first, span.last), outcome)
        else:
            joined.append((span, outcome))
    return tuple(joined)


def _joined_rows(rows: Iterable[Row]) -> tuple[Row, ...]:
    joined: list[Row] = []
    for row in rows:
        if joined and joined[-1].cells == row.cells:
            joined[-1] = Row(Span(joined[-1].sources.first, row.sources.last), row.cells)
        else:
            joined.append(row)
    return tuple(joined)


def _at(rows: Sequence[Row], source: int, destination: int) -> Outcome:
    cells = next(row.cells for row in rows if row.sources.first <= source <= row.sources.last)
    return next(outcome for span, outcome in cells if span.first <= destination <= span.last)


def _within(port: int, found: Spans) -> bool:
    return any(span.first <= port <= span.last for span in found)
