"""What commands write: tables, errors, ages. Colours only where a person is looking."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TextIO

RED, GREEN, YELLOW, BOLD = 31, 32, 33, 1
_GAP = "   "
_SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd])", re.ASCII)
_DURATION = re.compile(f"({_PART.pattern})+", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def painted(text: str, colour: int, stream: TextIO | None = None) -> str:
    target = stream or sys.stdout
    if not target.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


def _shown(text: str) -> str:
    """Without what would command the terminal: messages quote what users and manifests say."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def print_error(message: str, *, problems: Sequence[str] = (), hint: str = "") -> None:
    """`problems` that the message already tells are not told again."""
    print(painted("error:", RED, sys.stderr), _shown(message), file=sys.stderr)
    for problem in problems:
        if problem not in message:
            print(f"  {_shown(problem)}", file=sys.stderr)
    if hint:
        print(painted("hint:", YELLOW, sys.stderr), _shown(hint), file=sys.stderr)


def print_warning(message: str) -> None:
    print(painted("warning:", YELLOW, sys.stderr), _shown(message), file=sys.stderr)


def table_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell; the last one ends its line."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return [_GAP.join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip() for row in rows]


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, has_header: bool = True) -> None:
    for line in table_lines([header, *rows] if has_header else rows):
        print(line)


def age(timestamp: str | None, now: datetime | None = None) -> str:
    """How long ago, in kubectl's short form: 42s, 5m10s, 3h, 2d4h, 400d."""
    if not timestamp:
        return "<unknown>"
    try:
        then = datetime.fromisoformat(timestamp.replace("Z", "+00:00"))
    except ValueError:
        return "<unknown>"
    return duration(((now or datetime.now(UTC)) - then).total_seconds())


def duration(seconds: float) -> str:
    """The two largest units, as long as the second one still says something."""
    left = max(0, int(seconds))
    minutes, hours, days = left // 60, left // 3600, left // 86400
    if left < 120:
        return f"{left}s"
    if minutes < 10:
        return _pair(minutes, "m", left % 60, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return _pair(hours, "h", minutes % 60, "m")
    if days < 2:
        return f"{hours}h"
    if days < 8:
        return _pair(days, "d", hours % 24, "h")
    return f"{days}d" if days < 730 else _pair(days // 365, "y", days % 365, "d")


def _pair(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"


def seconds_of(text: str) -> float | None:
    """ "90s", "2m", "1h30m", "5": seconds; None when it is none of these."""
    if _SECONDS.fullmatch(text):
        return float(text)
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
