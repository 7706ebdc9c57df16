"""`status --watch`: what happens per second, and the words `top` takes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from agent import metrics
from agent.cli import rates, status
from agent.kernel.counters import Counters
from agent.network.traffic import Meter
from tests.unit.cli.conftest import Podwright

BEFORE = """
# TYPE podwright_pod_bytes_total counter
podwright_pod_bytes_total{direction="from"} 1000
podwright_pod_bytes_total{direction="to"} 500
podwright_api_requests_total{method="GET",route="/status",code="200"} 7
podwright_api_requests_total{method="PUT",route="/to",code="200"} 3
podwright_attach_seconds_count 1
"""
AFTER = BEFORE.replace("} 1000", "} 5001000").replace("} 3", "} 13").replace("count 1", "count 4")


def test_rates_are_differences_per_second() -> None:
    shown = rates.per_second(rates.samples(BEFORE), rates.samples(AFTER), seconds=2.0)
    assert shown == {
        "packets from pods": "0/s",
        "packets to pods": "0/s",
        "bytes from pods": "2.5 MB/s",
        "bytes to pods": "0 B/s",
        "attached": "1.5/s",
        "detached": "0/s",
        "API requests": "5/s",
    }


def test_an_agent_that_was_restarted_meanwhile_gives_no_negative_rates() -> None:
    assert rates.per_second(rates.samples(AFTER), rates.samples(BEFORE), seconds=1.0)["bytes from pods"] == "0 B/s"


def test_every_rate_is_of_a_metric_that_exists() -> None:
    text = metrics.exposition().decode()
    assert [rate.metric for rate in rates.RATES if rate.metric.removesuffix("_count") not in text] == []


def test_totals_grow_although_links_come_and_go() -> None:
    looks = iter(
        [
            {"pwv1": Counters(10, 1, 1000, 100)},
            {"pwv1": Counters(15, 1, 1500, 100), "pwv2": Counters(3, 3, 30, 30)},
            {},
            {"pwv1": Counters(1, 0, 9, 0)},
        ]
    )
    meter = Meter(lambda: next(looks))
    assert [meter.total().received_packets for _ in range(4)] == [10, 18, 18, 19]


def test_counters_that_began_anew_count_from_nothing() -> None:
    assert Counters(5, 5, 5, 5).since(Counters(9, 9, 9, 9)) == Counters(5, 5, 5, 5)
    assert Counters(5, 5, 5, 5).since(Counters(1, 2, 3, 4)) == Counters(4, 3, 2, 1)


def test_status_watch_shows_them(podwright: Podwright, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: Iterator[int] = itertools.count()

    def sleep(_: float) -> None:
        if next(turns) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(status.time, "sleep", sleep)
    shown = podwright("status", "--watch")
    assert shown.status == 130
    assert shown.out.count("RATES") == 2
    assert "API requests" in shown.out


@pytest.mark.parametrize("words", [("top", "node"), ("top", "nodes"), ("top", "no")])
def test_top_takes_every_word_for_nodes(podwright: Podwright, words: tuple[str, ...]) -> None:
    assert podwright(*words).out.startswith("NAME")


@pytest.mark.parametrize("word", ["pods", "pod", "po"])
def test_top_takes_every_word_for_pods(podwright: Podwright, word: str) -> None:
    assert podwright("top", word).status == 0
    assert podwright("top", "services").status == 2
