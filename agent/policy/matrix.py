"""Who may reach whom: the verdicts between many pods at once, and what a change would make of them. Pure.

A cell is asked for the ports that its destination declares, or for one port that the caller names. Two matrices of the
same pods compare cell by cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agent.policy.connection import TCP, Connection
from agent.policy.evaluate import Judge
from agent.policy.evaluate.kubernetes import NUMBERS
from agent.policy.world import Endpoint, World

_SOURCE_PORT = 49152
"""Any: only rules about source ports could tell."""


class Port(NamedTuple):
    protocol: int
    number: int


DEFAULT_PORT = Port(TCP, 80)


@dataclass(frozen=True, slots=True)
class Cell:
    """`asked` of the destination, and which of that is allowed in every family that both have."""

    source: Endpoint
    destination: Endpoint
    asked: tuple[Port, ...]
    allowed: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class Change:
    source: Endpoint
    destination: Endpoint
    port: Port
    is_opened: bool


def cells(world: World, pods: Sequence[Endpoint], port: Port | None = None) -> Iterator[Cell]:
    """Row by row; a pod with itself is left out, and so are pods without a common family."""
    judge = Judge(world)
    for source in pods:
        for destination in pods:
            if (source.namespace, source.name) == (destination.namespace, destination.name):
                continue
            asked = (port,) if port is not None else _declared(destination)
            pairs = [(a, b) for a in source.addresses for b in destination.addresses if a.version == b.version]
            if pairs:
                yield Cell(
                    source,
                    destination,
                    asked,
                    tuple(
                        one
                        for one in asked
                        if all(judge.verdict(Connection(a, b, one.protocol, one.number, _SOURCE_PORT)).is_allowed for a, b in pairs)
                    ),
                )


def changes(before: Sequence[Cell], after: Sequence[Cell]) -> Iterator[Change]:
    """What is allowed in one of them only. Pods that are in one only are nobody's change."""
    known = {_pair(cell): cell for cell in before}
    for cell in after:
        if (old := known.get(_pair(cell))) is not None:
            for port in sorted({*cell.asked, *old.asked}):
                was, will = port in old.allowed, port in cell.allowed
                if was != will:
                    yield Change(cell.source, cell.destination, port, will)


def _pair(cell: Cell) -> tuple[str, str]:
    return str(cell.source), str(cell.destination)


def _declared(destination: Endpoint) -> tuple[Port, ...]:
    found = sorted({Port(NUMBERS[port.protocol], port.port) for port in destination.ports})
    return tuple(found) or (DEFAULT_PORT,)
