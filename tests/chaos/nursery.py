"""Agents by the dozen: one process that has everything imported forks each of them.

A kill-point run starts hundreds of agents, and most of a start is Python's imports (test_restart.py measures a start as
users make it). A forked agent is told apart from one that was executed by nothing that the agent can see: its
environment, its arguments to the kernel and its log are its own.

    python -m tests.chaos.nursery       orders on stdin, answers on stdout, one JSON object a line
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.running import ROOT, RunningAgent


class Nursery:
    """Use as a context manager. Not for several threads at once."""

    def __enter__(self) -> Nursery:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.nursery"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(15)
        self._process.stdout.close()

    def start(self, verb: str, environment: Mapping[str, str], log: Path) -> Child:
        """`verb` "run" or "clear": the daemon's function."""
        return Child(self, self.order(verb=verb, environment=dict(environment), log=str(log)))

    def order(self, **words: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


class Child:
    """As much of a Popen as RunningAgent uses; the process is another's child, so it is watched by a pidfd."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery, self.pid = nursery, pid
        self.returncode: int | None = None
        self._fd = os.pidfd_open(pid)  # not reaped before we ask, so the number is its own

    def poll(self) -> int | None:
        return self._wait_ms(0)

    def wait(self, timeout_s: float) -> int:
        status = self._wait_ms(int(timeout_s * 1000))
        if status is None:
            raise subprocess.TimeoutExpired("agent", timeout_s)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        signal.pidfd_send_signal(self._fd, number)

    def _wait_ms(self, timeout_ms: int) -> int | None:
        if self.returncode is None:
            poller = select.poll()
            poller.register(self._fd, select.POLLIN)
            if poller.poll(timeout_ms):
                self.returncode = self._nursery.order(verb="reap", pid=self.pid)
                os.close(self._fd)
        return self.returncode


class ForkedAgent(RunningAgent):
    """A RunningAgent whose process comes from a nursery."""

    def __init__(self, nursery: Nursery, directory: Path, **settings: str) -> None:
        super().__init__(directory, **settings)
        self._nursery = nursery

    def start(self, environment: Mapping[str, str] | None = None, *, wait: bool = True) -> ForkedAgent:
        self._start("run", environment)
        if wait:
            self.wait_ready()
        return self

    def start_clearing(self, environment: Mapping[str, str] | None = None) -> None:
        """daemon.clear in a process of its own, which may be killed on the way. No agent may run."""
        self._start("clear", environment)

    def clear(self) -> None:
        self.stop()
        self.start_clearing()
        assert self.wait(60) == 0, self.tail()

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _start(self, verb: str, environment: Mapping[str, str] | None) -> None:
        variables = {**os.environ, **self._settings, **(environment or {})}
        self._process = self._nursery.start(verb, variables, self.log)  # type: ignore[assignment]


def main() -> None:
    """The process that forks. It must stay without threads."""
    importlib.import_module("agent.daemon")
    for line in sys.stdin:
        order = json.loads(line)
        print(_reaped(order["pid"]) if order["verb"] == "reap" else os.fork() or _become(order), flush=True)


def _reaped(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _become(order: Mapping[str, Any]) -> int:
    """The child: leaves the nursery's pipes, takes its environment and is an agent to the end."""
    status = 1
    try:
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for fd, target in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
            os.dup2(fd, target)
        os.environ.clear()
        os.environ.update(order["environment"])
        importlib.reload(sys.modules["agent.killpoint"])  # reads the environment as it is imported
        daemon, config = sys.modules["agent.daemon"], sys.modules["agent.config"]
        getattr(daemon, order["verb"])(config.load())
        status = 0
    except BaseException:  # noqa: BLE001 - whatever it is, it must not return into the nursery's loop
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
