"""The jobs that are done now and then: all of them, again and again, whatever becomes of one."""

import threading

from agent.errors import Unavailable
from agent.sandbox.sweep import Sweeper


def test_a_job_that_fails_keeps_neither_the_others_nor_itself_from_the_next_time() -> None:
    tried, done = [0], threading.Event()

    def fail() -> None:
        tried[0] += 1
        raise Unavailable("not now")

    def succeed() -> None:
        if tried[0] == 2:
            done.set()

    sweeper = Sweeper([fail, succeed], interval_s=0.001)
    sweeper.start()
    assert done.wait(10)
    sweeper.stop()
