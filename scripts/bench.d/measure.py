"""Comparing two ways of doing the same on a noisy machine: interleaved pairs, medians, an interval for the ratio.

A pair's two runs are next to each other in time and alternate in order, so slow drift and "the second run is
warm" cancel. The ratio is the median of the pairs' ratios; its interval comes from resampling pairs.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median

RESAMPLES = 4000


@dataclass(frozen=True, slots=True)
class Comparison:
    """`ours[i]` and `peer[i]` were measured next to each other."""

    what: str
    unit: str
    ours: tuple[float, ...]
    peer: tuple[float, ...]
    peer_name: str

    @property
    def ratios(self) -> tuple[float, ...]:
        return tuple(ours / peer for ours, peer in zip(self.ours, self.peer, strict=True))

    def document(self) -> dict[str, object]:
        low, high = interval(self.ratios)
        return {**asdict(self), "ratio": median(self.ratios), "ratio_low": low, "ratio_high": high}


def interleaved(ours: Callable[[], float], peer: Callable[[], float], pairs: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Samples of both, taken in turns: ours peer, peer ours, ours peer, …"""
    found: dict[Callable[[], float], list[float]] = {ours: [], peer: []}
    for number in range(pairs):
        for side in (ours, peer) if number % 2 == 0 else (peer, ours):
            found[side].append(side())
    return tuple(found[ours]), tuple(found[peer])


def milliseconds(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1000


def interval(samples: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Bootstrap interval of the median. Seeded: the same samples give the same interval."""
    source = random.Random(1)
    medians = sorted(median(source.choices(samples, k=len(samples))) for _ in range(RESAMPLES))
    tail = (1 - confidence) / 2
    return medians[int(tail * RESAMPLES)], medians[int((1 - tail) * RESAMPLES) - 1]


def table(comparisons: Sequence[Comparison]) -> str:
    rows = [("", "ours", "peer", "ours/peer", "95 % interval", "")]
    for one in comparisons:
        low, high = interval(one.ratios)
        numbers = (f"{median(one.ours):.2f} {one.unit}", f"{median(one.peer):.2f} {one.unit}")
        rows.append((one.what, *numbers, f"{median(one.ratios):.3f}", f"{low:.3f} to {high:.3f}", f"peer: {one.peer_name}"))
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows)
