"""A restart with 500 pods: SIGTERM or SIGKILL, exec, serving again (/readyz); and what packets it cost the pods.

Importing the agent's modules is part of a start and is reported apart: a Python process that only imports them, run
beside each restart. The processor time of both tells a busy machine from a slow start. All pods are asked for echoes
all the time, in both families, and some flows between pods every 2 ms.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rig import crowd, pulse
from rig.measure import milliseconds
from rig.options import Options
from rig.pulse import Flow, Loss, Pulse
from rig.report import Figure, Goal, Report

from agent.errors import PodwrightError
from tests.prober import NODE
from tests.running import ROOT, RunningAgent

_PODS, _ROUNDS = 500, 10
_SERVING = Goal(must=1.0, aim=0.5)
_NO_LOSS = Goal(must=0, aim=0)
_PAUSE_S = 1.0


def run(options: Options) -> Report:
    return sum((_of_mode(mode, options) for mode in options.modes), Report())


def _of_mode(mode: str, options: Options) -> Report:
    count, rounds = options.count(_PODS, 10), options.count(_ROUNDS, 1)
    found = _Found()
    with crowd.agent(mode) as running:
        pods = crowd.raise_crowd(running, count)
        with Pulse(_flows(running, pods)) as beating:
            time.sleep(_PAUSE_S)
            for _ in range(rounds):
                for signal_name in ("SIGTERM", "SIGKILL"):
                    started = time.monotonic()
                    found.stopping[signal_name].append(_end(running, signal_name))
                    found.serving[signal_name].append(_start(running))
                    found.spans.append((started, time.monotonic()))
                    found.cpu.append(crowd.cpu_seconds(running.pid))
                    time.sleep(_PAUSE_S)
                    _measure_imports(found)
            loss = beating.stop()
    return _report(mode, count, found, loss)


@dataclass(frozen=True, slots=True)
class _Found:
    """Seconds, by signal where it matters; `spans` are the restarts by the clock of time.monotonic()."""

    stopping: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    serving: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    cpu: list[float] = field(default_factory=list)
    imports: list[float] = field(default_factory=list)
    imports_cpu: list[float] = field(default_factory=list)
    spans: list[tuple[float, float]] = field(default_factory=list)


def _report(mode: str, count: int, found: _Found, loss: Loss) -> Report:
    during = [line for start, end in found.spans for line in loss.between(start, end + _PAUSE_S)]
    figures = [Figure(f"{mode}: {name} to exit", "s", tuple(samples)) for name, samples in found.stopping.items()]
    figures += [Figure(f"{mode}: {count} pods, exec to serving after {name}", "s", tuple(s), _SERVING) for name, s in found.serving.items()]
    figures += [
        Figure(f"{mode}: of it, imports", "s", tuple(found.imports)),
        Figure(f"{mode}: exec to serving, processor time", "s", tuple(found.cpu)),
        Figure(f"{mode}: of it, imports", "s", tuple(found.imports_cpu)),
        Figure(f"{mode}: echoes lost of {loss.asked}", "", (float(len(loss.lost)),), _NO_LOSS),
    ]
    elsewhere = len(loss.lost) - len(during)
    notes = [f"{mode}: lost {line}" for line in during[:20]]
    if elsewhere:
        notes.append(f"{mode}: {elsewhere} echoes were lost while nothing restarted")
    return Report(tuple(figures), notes=tuple(notes))


def _flows(running: RunningAgent, pods: Sequence[dict[str, Any]]) -> list[Flow]:
    first, second = pods[0], pods[-1]
    beats = [Flow(NODE, address, pulse.BEAT_S) for address in crowd.addresses(first)]
    beats += [Flow(running.namespace_of(first), address, pulse.BEAT_S) for address in crowd.addresses(second)]
    return [*pulse.rounds([address for pod in pods for address in crowd.addresses(pod)]), *beats]


def _end(running: RunningAgent, signal_name: str) -> float:
    return milliseconds(running.stop if signal_name == "SIGTERM" else running.kill) / 1000


def _start(running: RunningAgent) -> float:
    """Asked every millisecond: the question costs the agent less than that."""
    started = time.monotonic()
    running.start(wait=False)
    while True:
        try:
            running.client.request("GET", "/readyz")
        except PodwrightError:
            time.sleep(0.001)
        else:
            return time.monotonic() - started


def _measure_imports(found: _Found) -> None:
    command = [sys.executable, "-c", "import agent.cli.main, agent.cli.agent, agent.daemon"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    found.imports.append(milliseconds(lambda: subprocess.run(command, cwd=ROOT, check=True)) / 1000)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found.imports_cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
