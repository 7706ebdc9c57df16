"""What is under way. A second call for the same volume is answered ABORTED at once: the caller retries, nothing queues.

The agent would serialise the two anyway; but an orchestrator whose calls wait inside the driver cannot tell a slow
operation from a lost one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from agent.errors import Conflict


class Pending:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: set[str] = set()

    @contextmanager
    def operation(self, *what: str) -> Iterator[None]:
        """`what` names all that the operation needs to itself ("volume x"). Raises Conflict."""
        with self._lock:
            busy = next((each for each in what if each in self._under_way), None)
            if busy is not None:
                raise Conflict(f"an operation on {busy} is under way", hint="try again")
            self._under_way.update(what)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.difference_update(what)
