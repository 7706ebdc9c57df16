"""What a bench found, as a table for people and a document with every sample for machines.

A `Figure` stands alone and is held against a goal by its median. A `Comparison` has a peer beside it and is held
against a goal by the cautious end of the interval of its ratio. `Goal.must` was promised, `Goal.aim` is hoped for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from rig import measure


@dataclass(frozen=True, slots=True)
class Goal:
    """`at_least` False: small is good."""

    must: float
    aim: float
    at_least: bool = False

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {self.must:g} ({self.aim:g})"

    def verdict(self, value: float) -> str:
        sign = -1 if self.at_least else 1
        if sign * value <= sign * self.aim:
            return "aim met"
        return "met" if sign * value <= sign * self.must else "MISSED"


@dataclass(frozen=True, slots=True)
class Figure:
    what: str
    unit: str
    samples: tuple[float, ...]
    goal: Goal | None = None

    def row(self) -> tuple[str, ...]:
        middle = median(self.samples)
        spread = (_number(min(self.samples)), _number(max(self.samples)), str(len(self.samples)))
        goal = ("", "") if self.goal is None else (str(self.goal), self.goal.verdict(middle))
        return (self.what, f"{_number(middle)} {self.unit}", *spread, *goal)

    def document(self) -> dict[str, Any]:
        return {**asdict(self), "median": median(self.samples)}


@dataclass(frozen=True, slots=True)
class Comparison:
    """`ours[i]` and `peer[i]` were measured next to each other."""

    what: str
    unit: str
    ours: tuple[float, ...]
    peer: tuple[float, ...]
    peer_name: str
    goal: Goal | None = None

    @property
    def ratios(self) -> tuple[float, ...]:
        return tuple(ours / peer for ours, peer in zip(self.ours, self.peer, strict=True))

    def row(self) -> tuple[str, ...]:
        low, high = measure.interval(self.ratios)
        sides = tuple(f"{_number(median(side))} {self.unit}" for side in (self.ours, self.peer))
        ratio = (f"{median(self.ratios):.3f}", f"{low:.3f} to {high:.3f}", str(len(self.ours)))
        goal = ("", "") if self.goal is None else (str(self.goal), self.goal.verdict(low if self.goal.at_least else high))
        return (self.what, *sides, *ratio, *goal, self.peer_name)

    def document(self) -> dict[str, Any]:
        low, high = measure.interval(self.ratios)
        return {**asdict(self), "ratio": median(self.ratios), "ratio_low": low, "ratio_high": high}


@dataclass(frozen=True, slots=True)
class Report:
    figures: tuple[Figure, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: Report) -> Report:
        return Report(self.figures + other.figures, self.comparisons + other.comparisons, self.notes + other.notes)

    def __str__(self) -> str:
        parts = []
        if self.figures:
            parts.append(table(("", "median", "min", "max", "n", "must (aim)", ""), [one.row() for one in self.figures]))
        if self.comparisons:
            heads = ("", "ours", "peer", "ours/peer", "95 % interval", "n", "must (aim)", "", "peer is")
            parts.append(table(heads, [one.row() for one in self.comparisons]))
        return "\n\n".join([*parts, *(["\n".join(self.notes)] if self.notes else [])])

    def document(self) -> dict[str, Any]:
        return {
            "figures": [one.document() for one in self.figures],
            "comparisons": [one.document() for one in self.comparisons],
            "notes": list(self.notes),
        }


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def _number(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
