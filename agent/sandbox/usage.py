"""Processor and memory use of the node and its pods, sampled now and then so that asking costs nothing.

Processor use is a rate, so it needs two readings; between them lies one interval.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.kernel import hostinfo
from agent.kernel.cgroup import CgroupUsage

INTERVAL_S = 10.0
_NODE = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """`cpu_millicores` over the last interval; 0 until there were two readings."""

    cpu_millicores: int
    memory_bytes: int


class Sampler:
    """`read_pods` gives the usage of every sandboxed pod by uid."""

    def __init__(self, read_pods: Callable[[], Mapping[str, CgroupUsage]]) -> None:
        self._read_pods = read_pods
        self._before: tuple[float, dict[str, float]] = (time.monotonic(), {})
        self._usage: dict[str, Usage] = {}

    def node(self) -> Usage:
        return self._usage.get(_NODE, Usage(0, 0))

    def pod(self, uid: str) -> Usage | None:
        return self._usage.get(uid)

    def sample(self) -> None:
        node = hostinfo.usage()
        readings = {_NODE: (node.cpu_seconds, node.memory_bytes)}
        readings |= {uid: (usage.cpu_seconds, usage.memory_bytes) for uid, usage in self._read_pods().items()}
        at, (before, seconds_before) = time.monotonic(), self._before
        elapsed = max(at - before, 1e-3)
        self._usage = {
            uid: Usage(_millicores(seconds - seconds_before.get(uid, seconds), elapsed), memory)
            for uid, (seconds, memory) in readings.items()
        }
        self._before = (at, {uid: seconds for uid, (seconds, _) in readings.items()})


def _millicores(seconds: float, elapsed_s: float) -> int:
    return round(max(seconds, 0.0) / elapsed_s * 1000)
