"""A job with a thread of its own, for callers that may not wait: rung for, soon done, repeated until it succeeds."""

from __future__ import annotations

import threading
from collections.abc import Callable

from loguru import logger

from agent.errors import PodwrightError

_FIRST_RETRY_S, _LAST_RETRY_S = 0.1, 10.0


class Errand:
    """Rings within `settle_s` of the first, and while the job is running, are answered by one more run."""

    def __init__(self, name: str, job: Callable[[], None], *, settle_s: float = 0.0) -> None:
        self._name, self._job, self._settle_s = name, job, settle_s
        self._rung, self._stopped = threading.Event(), threading.Event()
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
        while self._rung.wait() and not self._stopped.wait(self._settle_s):
            self._rung.clear()
            if self._is_done():
                retry_s = _FIRST_RETRY_S
            elif not self._stopped.wait(retry_s):
                retry_s = min(2 * retry_s, _LAST_RETRY_S)
                self._rung.set()

    def _is_done(self) -> bool:
        try:
            self._job()
        except PodwrightError as error:
            logger.warning("{}: {}; trying again", self._name, error)
        except Exception as error:  # noqa: BLE001 - a bug must not end the thread that keeps the node right
            logger.opt(exception=error).error("{} failed; trying again", self._name)
        else:
            return True
        return False
