"""Ages, durations and tables."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agent.cli.terminal import age, duration, seconds_of, table_lines

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-5, "0s"),
        (119, "119s"),
        (2 * MINUTE, "2m"),
        (5 * MINUTE + 10, "5m10s"),
        (10 * MINUTE + 10, "10m"),
        (179 * MINUTE, "179m"),
        (3 * HOUR + 5 * MINUTE, "3h5m"),
        (9 * HOUR + 5 * MINUTE, "9h"),
        (47 * HOUR, "47h"),
        (2 * DAY + 4 * HOUR, "2d4h"),
        (8 * DAY + 4 * HOUR, "8d"),
        (800 * DAY, "2y70d"),
    ],
)
def test_duration(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def test_age() -> None:
    now = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    assert age("2026-01-01T00:00:00Z", now) == "60s"
    assert age(None) == age("yesterday") == "<unknown>"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5", 5), ("0.5s", 0.5), ("90s", 90), ("2m", 120), ("1h30m", 5400), ("1d", 86400)]
    + [(wrong, None) for wrong in ("", "x", "s", "1x", "1.2.3s", "5 s", "-1s")],
)
def test_seconds_of(text: str, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


def test_a_table() -> None:
    assert table_lines([["NAME", "AGE"], ["a-long-name", "1s"], ["b", "200d"]]) == [
        "NAME          AGE",
        "a-long-name   1s",
        "b             200d",
    ]
    assert table_lines([]) == []
