"""A job on a thread of its own: rung for many times it is done once, and again until it succeeds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agent.errand import Errand
from agent.errors import SeveralErrors, Unavailable

SOON_S = 5.0


@contextmanager
def errand(job: Callable[[], None], settle_s: float = 0.0) -> Iterator[Errand]:
    running = Errand("test", job, settle_s=settle_s)
    running.start()
    try:
        yield running
    finally:
        running.stop()


def test_many_rings_at_once_are_one_run() -> None:
    runs = threading.Semaphore(0)
    with errand(runs.release, settle_s=0.1) as running:
        for _ in range(100):
            running.ring()
        assert runs.acquire(timeout=SOON_S)
        assert not runs.acquire(timeout=0.3)


def test_a_ring_while_the_job_runs_is_answered_by_one_more_run() -> None:
    entered, leave, runs = threading.Event(), threading.Event(), threading.Semaphore(0)

    def job() -> None:
        entered.set()
        leave.wait(SOON_S)
        runs.release()

    with errand(job) as running:
        running.ring()
        assert entered.wait(SOON_S)
        running.ring()
        leave.set()
        assert runs.acquire(timeout=SOON_S)
        assert runs.acquire(timeout=SOON_S)
        assert not runs.acquire(timeout=0.1)


def test_what_fails_is_repeated_without_another_ring() -> None:
    failures = iter([Unavailable("not now"), SeveralErrors([Unavailable("no")]), RuntimeError("a bug")])
    done = threading.Event()

    def job() -> None:
        if error := next(failures, None):
            raise error
        done.set()

    with errand(job) as running:
        running.ring()
        assert done.wait(SOON_S)


def test_a_ring_before_the_start_is_not_forgotten() -> None:
    done = threading.Event()
    running = Errand("test", done.set)
    running.ring()
    running.start()
    assert done.wait(SOON_S)
    running.stop()


def test_after_stop_nothing_begins() -> None:
    runs: list[int] = []
    with errand(lambda: runs.append(1)) as running:
        pass
    running.ring()
    assert runs == []
