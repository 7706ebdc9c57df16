"""The arithmetic behind scripts/bench."""

from __future__ import annotations

from itertools import count

import pytest
from rig import measure
from rig.report import Comparison


def test_sides_take_turns_in_going_first() -> None:
    clock = count()
    ours, peer = measure.interleaved(lambda: next(clock), lambda: next(clock), pairs=3)
    assert (ours, peer) == ((0, 3, 4), (1, 2, 5))


def test_the_ratio_is_taken_within_pairs() -> None:
    """A machine that slows down tenfold half-way changes both sides of a pair, and so nothing."""
    comparison = Comparison("ADD", "ms", (1.0, 1.0, 10.0, 10.0), (2.0, 2.0, 20.0, 20.0), "reference")
    assert comparison.document()["ratio"] == 0.5
    assert measure.interval(comparison.ratios) == (0.5, 0.5)


def test_the_interval_holds_the_median_and_tightens_with_samples() -> None:
    few, many = [0.8, 0.9, 1.0, 1.1, 1.2], [0.8, 0.9, 1.0, 1.1, 1.2] * 40
    (low, high), (tight_low, tight_high) = measure.interval(few), measure.interval(many)
    assert low <= 1.0 <= high
    assert tight_high - tight_low < high - low


def test_the_same_samples_give_the_same_interval() -> None:
    samples = [0.8, 0.95, 1.0, 1.3, 1.1]
    assert measure.interval(samples) == measure.interval(samples)


def test_pairs_of_unequal_number_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="shorter"):
        _ = Comparison("ADD", "ms", (1.0, 2.0), (1.0,), "reference").ratios
