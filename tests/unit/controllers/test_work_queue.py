"""Time is a number here: nothing sleeps."""

from __future__ import annotations

import threading

import pytest

from agent.controllers.runner import BackOff
from agent.controllers.work_queue import WorkQueue


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def drained(queue: WorkQueue[str]) -> list[str]:
    """Everything that is ready now. Taking the first sentinel makes ready what is due; the second keeps `take` from waiting."""
    found = []
    for sentinel in ("begin", "end"):
        queue.add(sentinel)
        while (key := queue.take()) != sentinel:
            assert key is not None
            found.append(key)
            queue.done(key)
        queue.done(sentinel)
    return found


def test_a_key_waits_once() -> None:
    queue: WorkQueue[str] = WorkQueue(Clock())
    for key in ("a", "b", "a", "a"):
        queue.add(key)
    assert drained(queue) == ["a", "b"]


def test_a_key_that_is_worked_on_is_kept_back_and_comes_again() -> None:
    queue: WorkQueue[str] = WorkQueue(Clock())
    queue.add("a")
    assert queue.take() == "a"
    queue.add("a")
    queue.add("b")
    assert queue.take() == "b", "a is being worked on"
    queue.done("b")
    queue.done("a")
    assert drained(queue) == ["a"]


def test_a_delayed_key_comes_at_the_earliest_time_asked_for() -> None:
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add("a", after_s=10)
    queue.add("a", after_s=5)
    queue.add("a", after_s=20)
    assert drained(queue) == []
    clock.now += 5
    assert drained(queue) == ["a"]
    clock.now += 100
    assert drained(queue) == [], "once is enough"


def test_news_now_makes_a_later_look_needless() -> None:
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add("a", after_s=10)
    queue.add("a")
    assert drained(queue) == ["a"]
    clock.now += 10
    assert drained(queue) == []


def test_delayed_keys_come_in_the_order_of_time() -> None:
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock)
    for key, after_s in (("c", 3), ("a", 1), ("b", 2)):
        queue.add(key, after_s)
    clock.now += 3
    assert drained(queue)[:3] == ["a", "b", "c"]


def test_plans_that_were_overtaken_do_not_pile_up() -> None:
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock)
    for _ in range(1000):
        clock.now += 0.1
        queue.add("a", after_s=600)
        queue.add("a")
        assert drained(queue) == ["a"]
    queue.add("a", after_s=600)
    assert len(queue._delayed) < 100
    clock.now += 600
    assert drained(queue) == ["a"]


def test_closing_wakes_who_waits() -> None:
    queue: WorkQueue[str] = WorkQueue()
    found: list[str | None] = []
    waiter = threading.Thread(target=lambda: found.append(queue.take()))
    waiter.start()
    queue.close()
    waiter.join(5)
    assert found == [None]


@pytest.mark.parametrize(("failures", "delay_s"), [(1, 0.02), (2, 0.04), (5, 0.32), (11, 20.48), (12, 30), (10_000, 30)])
def test_back_off_doubles_up_to_a_cap(failures: int, delay_s: float) -> None:
    assert BackOff(jitter=lambda: 0.0).delay_s(failures) == pytest.approx(delay_s)
    assert BackOff(jitter=lambda: 1.0).delay_s(failures) == pytest.approx(delay_s * 1.25)
