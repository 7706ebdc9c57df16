"""The arithmetic behind scripts/bench."""

from __future__ import annotations

import importlib.util
import sys
from itertools import count
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def measure() -> ModuleType:
    path = Path(__file__).parents[3] / "scripts/bench.d/measure.py"
    spec = importlib.util.spec_from_file_location("measure", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["measure"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sides_take_turns_in_going_first(measure: ModuleType) -> None:
    clock = count()
    ours, peer = measure.interleaved(lambda: next(clock), lambda: next(clock), pairs=3)
    assert (ours, peer) == ((0, 3, 4), (1, 2, 5))


def test_the_ratio_is_taken_within_pairs(measure: ModuleType) -> None:
    """A machine that slows down tenfold half-way changes both sides of a pair, and so nothing."""
    comparison = measure.Comparison("ADD", "ms", (1.0, 1.0, 10.0, 10.0), (2.0, 2.0, 20.0, 20.0), "reference")
    assert comparison.document()["ratio"] == 0.5
    assert measure.interval(comparison.ratios) == (0.5, 0.5)


def test_the_interval_holds_the_median_and_tightens_with_samples(measure: ModuleType) -> None:
    few, many = [0.8, 0.9, 1.0, 1.1, 1.2], [0.8, 0.9, 1.0, 1.1, 1.2] * 40
    (low, high), (tight_low, tight_high) = measure.interval(few), measure.interval(many)
    assert low <= 1.0 <= high
    assert tight_high - tight_low < high - low


def test_the_table_names_both_sides(measure: ModuleType) -> None:
    text = measure.table([measure.Comparison("ADD", "ms", (1.0,), (4.0,), "reference chain")])
    assert text.splitlines()[1].split("  ")[0] == "ADD"
    assert "0.250" in text
    assert "peer: reference chain" in text
