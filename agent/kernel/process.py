"""End the processes of a pod: ask with TERM, wait for the grace period, then KILL.

A process number can be reused between looking and killing. So each process is held by a pidfd first, and only
then is it checked that the number still is in the pod's cgroup: a pidfd never comes to mean another process.
Children forked meanwhile are caught by listing again until the cgroup is empty; `freeze` is not needed, since KILL
rounds outrun a fork bomb only if it cannot fork: the pod's pids limit bounds it.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

from agent.errors import DeadlineExceeded

ListPids = Callable[[], Iterable[int]]
_KILL_DEADLINE_S = 10.0


def end_all(list_pids: ListPids, *, grace_s: float) -> int:
    """End every process that `list_pids` gives, now or while we work; returns how many needed KILL."""
    with _held(list_pids) as held:
        _signal(held.values(), signal.SIGTERM)
        _wait(held, time.monotonic() + grace_s)
    return _kill_until_none(list_pids)


def terminate(list_pids: ListPids) -> int:
    """Ask every process to end, and return at once; how many were asked."""
    with _held(list_pids) as held:
        _signal(held.values(), signal.SIGTERM)
        return len(held)


def _kill_until_none(list_pids: ListPids) -> int:
    killed: set[int] = set()
    deadline = time.monotonic() + _KILL_DEADLINE_S
    while True:
        with _held(list_pids) as held:
            if not held:
                return len(killed)
            if time.monotonic() > deadline:
                pids = ", ".join(str(pid) for pid in sorted(held))
                raise DeadlineExceeded(f"processes {pids} did not end {_KILL_DEADLINE_S:g} s after SIGKILL: they hang in the kernel")
            killed.update(held)
            _signal(held.values(), signal.SIGKILL)
            _wait(held, time.monotonic() + 1.0)


@contextmanager
def _held(list_pids: ListPids) -> Iterator[dict[int, int]]:
    """{pid: pidfd} of the processes that are members both before and after they were held."""
    with ExitStack() as stack:
        opened: dict[int, int] = {}
        for pid in list_pids():
            try:
                opened[pid] = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            stack.callback(os.close, opened[pid])
        still_there = set(list_pids()) if opened else set()
        yield {pid: fd for pid, fd in opened.items() if pid in still_there}


def _signal(pidfds: Iterable[int], number: signal.Signals) -> None:
    for fd in pidfds:
        try:
            signal.pidfd_send_signal(fd, number)
        except ProcessLookupError:
            pass  # it ended by itself


def _wait(held: dict[int, int], deadline: float) -> None:
    """Until all have ended or the deadline is there."""
    poller = select.poll()
    waiting = set(held.values())
    for fd in waiting:
        poller.register(fd, select.POLLIN)
    while waiting and (remaining := deadline - time.monotonic()) > 0:
        for fd, _ in poller.poll(remaining * 1000):
            poller.unregister(fd)
            waiting.discard(fd)
