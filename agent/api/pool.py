"""Threads for handlers that block, so that the event loop never does; bounded in threads and in what may wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from agent.errors import Unavailable

T = TypeVar("T")


class Pool:
    def __init__(self, name: str, *, threads: int, waiting: int) -> None:
        self._name = name
        self._room = threads + waiting
        self._held = 0
        self._executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)

    async def run(self, work: Callable[[], T]) -> T:
        """Raises Unavailable when more is waiting than the pool takes. Called from the event loop only."""
        if self._held >= self._room:
            raise Unavailable(f"the agent is busy: {self._held} requests wait in its {self._name} pool", hint="try again in a moment")
        self._held += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._held -= 1

    def close(self) -> None:
        """Start nothing more; what runs is left to end."""
        self._executor.shutdown(wait=False, cancel_futures=True)
