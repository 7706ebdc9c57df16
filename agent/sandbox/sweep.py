"""Gives back what runtimes left behind: at once nothing tells that a pod died without a DEL, so we look now and then.

A namespace that ends takes its veth with it, and that is the proof. Pods of our own look after themselves.
"""

from __future__ import annotations

import threading

from loguru import logger

from agent.errors import PodwrightError
from agent.sandbox.interfaces import RuntimeInterfaces

INTERVAL_S = 60.0


class Sweeper:
    def __init__(self, interfaces: RuntimeInterfaces, interval_s: float = INTERVAL_S) -> None:
        self._interfaces, self._interval_s = interfaces, interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweep", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                self._interfaces.collect_dead()
            except PodwrightError as error:
                logger.warning("cannot give back what dead containers held: {}", error)
