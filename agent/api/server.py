"""The API's server on the unix socket: one event loop in a thread of its own, from claiming the socket to releasing it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from aiohttp import web
from loguru import logger

from agent.api.backend import Backend
from agent.api.connections import Connections
from agent.api.edge import Edge, Limits
from agent.api.listener import Claim, claim
from agent.api.peers import Gate, gate_for
from agent.errors import InternalError

_START_TIMEOUT_S = 10.0
_LINGER_S = 1.0


class Server:
    """listen() takes the socket: callers can connect and wait. start() returns when it answers; stop() lets running
    requests end, then removes the socket."""

    def __init__(
        self, backend: Backend, socket_path: Path, *, group: str = "", gate: Gate | None = None, limits: Limits | None = None
    ) -> None:
        self._path = socket_path
        self._limits = limits or Limits()
        gate = gate or gate_for(group)
        self._connections = Connections(owners=gate.owners, silence_s=self._limits.silence_s)
        self._edge = Edge(backend, gate, self._connections, self._limits)
        self._claimed: Claim | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._started = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def listen(self) -> None:
        """Raises AlreadyExists when another agent holds the socket."""
        self._claimed = claim(self._path)

    def start(self) -> None:
        if self._claimed is None:
            self.listen()
        claimed, self._claimed = self._claimed, None
        assert claimed is not None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(claimed)), name="api", daemon=True)
        self._thread.start()
        if not self._started.wait(_START_TIMEOUT_S):
            raise InternalError(f"the API did not start within {_START_TIMEOUT_S:.0f} s")

    def stop(self) -> None:
        if self._claimed is not None:
            self._claimed.release()
            self._claimed = None
        if self._loop is None or self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._loop = self._thread = None

    async def _serve(self, claimed: Claim) -> None:
        self._loop = asyncio.get_running_loop()
        runner = web.AppRunner(self._edge.application(), access_log=None, shutdown_timeout=self._limits.stop_s, lingering_time=_LINGER_S)
        await runner.setup()
        assert runner.server is not None
        tasks = (
            asyncio.create_task(self._connections.accept(claimed.socket, runner.server)),
            asyncio.create_task(self._connections.sweep()),
        )
        logger.info("API listens at {}", self._path)
        self._started.set()
        try:
            await self._stopping.wait()
        finally:
            for task in tasks:
                task.cancel()
            claimed.release()
            await runner.cleanup()
            self._edge.close()
