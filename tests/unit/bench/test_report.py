"""What a bench prints, and when a goal counts as met."""

from __future__ import annotations

import json

import pytest
from rig.report import Comparison, Figure, Goal, Report


@pytest.mark.parametrize(("value", "said"), [(1.4, "aim met"), (1.5, "aim met"), (2.9, "met"), (3.1, "MISSED")])
def test_small_is_good(value: float, said: str) -> None:
    assert Goal(must=3.0, aim=1.5).verdict(value) == said


@pytest.mark.parametrize(("value", "said"), [(1.2, "aim met"), (1.05, "met"), (0.99, "MISSED")])
def test_large_is_good(value: float, said: str) -> None:
    assert Goal(must=1.0, aim=1.1, at_least=True).verdict(value) == said


def test_a_comparison_is_judged_by_the_cautious_end_of_its_interval() -> None:
    """The median of the ratios is 1.1, but it could well be 0.9."""
    noisy = Comparison("throughput", "GB/s", (0.9, 1.1, 1.3), (1.0, 1.0, 1.0), "reference", Goal(1.0, 1.1, at_least=True))
    assert "MISSED" in noisy.row()


def test_a_figure_is_judged_by_its_median() -> None:
    assert Figure("answered", "s", (1.0, 1.2, 9.0), Goal(3.0, 1.5)).row()[-1] == "aim met"


def test_the_table_names_both_sides() -> None:
    text = str(Report(comparisons=(Comparison("ADD", "ms", (1.0,), (4.0,), "reference chain"),)))
    assert text.splitlines()[1].split("  ")[0] == "ADD"
    assert "0.250" in text
    assert "reference chain" in text


def test_every_sample_is_in_the_document() -> None:
    report = Report((Figure("a", "s", (1.0, 2.0)),), (Comparison("b", "ms", (1.0,), (2.0,), "peer"),), ("a note",))
    document = json.loads(json.dumps((report + report).document()))
    assert [figure["samples"] for figure in document["figures"]] == [[1.0, 2.0]] * 2
    assert document["comparisons"][0] | {"ours": [1.0], "peer": [2.0], "ratio": 0.5} == document["comparisons"][0]
    assert document["notes"] == ["a note"] * 2
