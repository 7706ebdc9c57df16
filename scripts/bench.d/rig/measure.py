"""Comparing two ways of doing the same on a noisy machine: interleaved pairs, medians, an interval for the ratio.

A pair's two runs are next to each other in time and alternate in order, so slow drift and "the second run is
warm" cancel. The ratio is the median of the pairs' ratios; its interval comes from resampling pairs.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import TypeVar

RESAMPLES = 4000
_T = TypeVar("_T")


def interleaved(ours: Callable[[], _T], peer: Callable[[], _T], pairs: int) -> tuple[tuple[_T, ...], tuple[_T, ...]]:
    """Samples of both, taken in turns: ours peer, peer ours, ours peer, …"""
    found: tuple[list[_T], list[_T]] = [], []
    for number in range(pairs):
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            found[side].append((ours, peer)[side]())
    return tuple(found[0]), tuple(found[1])


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
