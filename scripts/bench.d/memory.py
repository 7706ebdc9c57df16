"""The agent's resident memory with 500 pods: after it made them, and after a restart with them.

Resident is VmRSS; peak is VmHWM, the most it has been so far.
"""

from __future__ import annotations

import time
from pathlib import Path

from rig import crowd
from rig.options import Options
from rig.report import Figure, Goal, Report

_PODS = 500
_RESIDENT = Goal(must=90, aim=60)
_SETTLE_S = 3.0


def run(options: Options) -> Report:
    return sum((_of_mode(mode, options) for mode in options.modes), Report())


def _of_mode(mode: str, options: Options) -> Report:
    count = options.count(_PODS, 10)
    with crowd.agent(mode) as running:
        empty = _megabytes(running.pid, "VmRSS")
        crowd.raise_crowd(running, count)
        time.sleep(options.count(1, 0) * _SETTLE_S)
        grown, peak = _megabytes(running.pid, "VmRSS"), _megabytes(running.pid, "VmHWM")
        running.restart()
        time.sleep(options.count(1, 0) * _SETTLE_S)
        restarted = _megabytes(running.pid, "VmRSS")
    return Report(
        figures=(
            Figure(f"{mode}: no pod", "MB", (empty,)),
            Figure(f"{mode}: {count} pods made", "MB", (grown,), _RESIDENT),
            Figure(f"{mode}: peak while making them", "MB", (peak,)),
            Figure(f"{mode}: restarted with {count} pods", "MB", (restarted,), _RESIDENT),
        )
    )


def _megabytes(pid: int, field: str) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024 / 1e6
