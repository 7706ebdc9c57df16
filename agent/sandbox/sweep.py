"""Gives back what runtimes left behind: at once nothing tells that a pod died without a DEL, so we look now and then.

A namespace that ends takes its veth with it, and that is the proof. Pods of our own look after themselves. DELs that
the CNI binary wrote down while we hung are carried out on the same occasion.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from loguru import logger

from agent.errors import PodwrightError

INTERVAL_S = 60.0


class Sweeper:
    """Does each of `jobs` at once and then now and then, whatever becomes of the others."""

    def __init__(self, jobs: Sequence[Callable[[], object]], interval_s: float = INTERVAL_S) -> None:
        self._jobs, self._interval_s = jobs, interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweep", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            for job in self._jobs:
                try:
                    job()
                except (PodwrightError, OSError) as error:
                    logger.warning("cannot give back what dead containers held: {}", error)
            if self._stop.wait(self._interval_s):
                return
