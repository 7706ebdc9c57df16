"""Prometheus text, as Prometheus reads it."""

from __future__ import annotations

import threading

import pytest

from agent import metrics
from agent.metrics import Counter, Gauge, Histogram


def test_a_counter() -> None:
    counter = Counter("things_total", "Things.", ("kind",))
    counter.inc("a")
    counter.inc("a", by=2)
    counter.inc('quo"te\\\n')
    assert list(counter.lines()) == [
        "# HELP podwright_things_total Things.",
        "# TYPE podwright_things_total counter",
        'podwright_things_total{kind="a"} 3',
        'podwright_things_total{kind="quo\\"te\\\\\\n"} 1',
    ]


def test_a_gauge() -> None:
    gauge = Gauge("level", "Level.")
    gauge.set(2.5)
    gauge.add(-1)
    assert list(gauge.lines())[-1] == "podwright_level 1.5"


def test_a_histogram_is_cumulative() -> None:
    histogram = Histogram("seconds", "Time.", buckets=(0.1, 1))
    for value in (0.05, 0.1, 0.5, 7):
        histogram.observe(value)
    assert list(histogram.lines())[2:] == [
        'podwright_seconds_bucket{le="0.1"} 2',
        'podwright_seconds_bucket{le="1"} 3',
        'podwright_seconds_bucket{le="+Inf"} 4',
        "podwright_seconds_sum 7.65",
        "podwright_seconds_count 4",
    ]


def test_time_is_observed_also_when_the_block_fails() -> None:
    histogram = Histogram("seconds", "Time.")
    with pytest.raises(ZeroDivisionError), histogram.time():
        _ = 1 / 0
    assert histogram.count() == 1


def test_nothing_is_lost_between_threads() -> None:
    counter = Counter("things_total", "Things.")
    threads = [threading.Thread(target=lambda: [counter.inc() for _ in range(2000)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.value() == 16000


def test_the_official_parser_reads_all_of_it() -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    metrics.STORE_COMMIT_SECONDS.observe(0.01)
    families = {family.name: family for family in parser.text_string_to_metric_families(metrics.exposition().decode())}
    assert families["podwright_store_commit_seconds"].type == "histogram"
    assert families["process_resident_memory_bytes"].samples[0].value > 1 << 20
