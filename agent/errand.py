"""A job with a thread of its own, for callers that may not wait: rung for, soon done, repeated until it succeeds.

With `every_s` it is done without being rung for, too. A failure is logged when it is a new one, not at every repetition.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from loguru import logger

from agent.errors import PodwrightError

_FIRST_RETRY_S, _LAST_RETRY_S = 0.1, 10.0


class Errand:
    """Rings within `settle_s` of the first, and while the job is running, are answered by one more run."""

    def __init__(self, name: str, job: Callable[[], object], *, settle_s: float = 0.0, every_s: float | None = None) -> None:
        self._name, self._job, self._settle_s, self._every_s = name, job, settle_s, every_s
        self._last_retry_s = max(_LAST_RETRY_S, every_s or 0.0)
        self._rung, self._stopped = threading.Event(), threading.Event()
        self._complaint = ""
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ring(self) -> None:
        """From any thread, also before start(). Never blocks."""
        self._rung.set()

    def stop(self) -> None:
        """Finish what is running; begin nothing more."""
        self._stopped.set()
        self._rung.set()
        if self._thread.is_alive():
            self._thread.join()

    def _serve(self) -> None:
        retry_s = _FIRST_RETRY_S
        while True:
            self._rung.wait(self._every_s)
            if self._stopped.wait(self._settle_s):
                return
            self._rung.clear()
            if self._is_done():
                retry_s = _FIRST_RETRY_S
            elif not self._stopped.wait(retry_s):
                retry_s = min(2 * retry_s, self._last_retry_s)
                self._rung.set()

    def _is_done(self) -> bool:
        try:
            self._job()
        except PodwrightError as error:
            self._complain(error)
        except Exception as error:  # noqa: BLE001 - a bug must not end the thread that keeps the node right
            logger.opt(exception=error).error("{} failed; trying again", self._name)
        else:
            self._complaint = ""
            return True
        return False

    def _complain(self, error: PodwrightError) -> None:
        if error.message != self._complaint:
            logger.warning("{}: {}; trying again", self._name, error)
        self._complaint = error.message
