"""Accepted connections: who each belongs to, how many one user may hold, and how long one may stay silent.

Everyone may connect (peers.py), so a user without rights must not be able to use up the agent's file descriptors,
and a client that sends half a header must not hold a place for ever. The HTTP library leaves both to us: connections
are accepted here, counted per uid, and closed when no request has been complete for a while. A connection that is
inside a request is the handler's, which has deadlines of its own.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from loguru import logger

from agent.api.peers import Peer, peer_of
from agent.metrics import API_REFUSED

_PER_USER = 32
_PER_OWNER = 768
_SWEEP_INTERVAL_S = 1.0
_ACCEPT_PAUSE_S = 0.1

ProtocolFactory = Callable[[], Any]


@dataclass(slots=True)
class Connection:
    """`silent_since` None: a request is being served. `undo`: what to do if its answer does not arrive."""

    peer: Peer
    silent_since: float | None
    transport: asyncio.BaseTransport | None = None
    undo: Callable[[], None] | None = None

    @property
    def is_closed(self) -> bool:
        return self.transport is not None and self.transport.is_closing()


class Connections:
    def __init__(self, *, owners: frozenset[int], silence_s: float) -> None:
        self._owners = owners
        self._silence_s = silence_s
        self._by_protocol: dict[Any, Connection] = {}

    def __len__(self) -> int:
        return len(self._by_protocol)

    def of(self, protocol: Any) -> Connection:
        return self._by_protocol[protocol]

    async def accept(self, listener: socket.socket, factory: ProtocolFactory) -> None:
        """Take connections until cancelled; `factory` makes the HTTP library's protocol for each."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listener)
            except OSError as error:  # EMFILE and its like: the ones who wait stay in the backlog
                logger.warning("cannot accept a connection: {}", error)
                await asyncio.sleep(_ACCEPT_PAUSE_S)
                continue
            try:
                await self._admit(loop, accepted, factory)
            except OSError as error:  # one peer that is gone already must not end the loop that serves all
                logger.debug("cannot serve a connection: {}", error)
                accepted.close()

    async def sweep(self) -> None:
        """Close the silent, forget the closed; until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_INTERVAL_S)
            self._forget_closed()
            too_old = asyncio.get_running_loop().time() - self._silence_s
            for connection in self._by_protocol.values():
                if connection.silent_since is not None and connection.silent_since < too_old and connection.transport is not None:
                    connection.transport.close()

    async def _admit(self, loop: asyncio.AbstractEventLoop, accepted: socket.socket, factory: ProtocolFactory) -> None:
        peer = peer_of(accepted)
        if self._is_full_for(peer):
            API_REFUSED.inc()
            accepted.close()
            return
        connection = Connection(peer, loop.time())

        def protocol() -> Any:
            made = factory()
            self._by_protocol[made] = connection  # before its first byte is read
            return made

        accepted.setblocking(False)
        connection.transport, _ = await loop.connect_accepted_socket(protocol, accepted)

    def _is_full_for(self, peer: Peer) -> bool:
        limit = _PER_OWNER if peer.uid in self._owners else _PER_USER
        if self._held_by(peer.uid) < limit:
            return False
        self._forget_closed()
        return self._held_by(peer.uid) >= limit

    def _held_by(self, uid: int) -> int:
        return sum(connection.peer.uid == uid for connection in self._by_protocol.values())

    def _forget_closed(self) -> None:
        for protocol in [protocol for protocol, connection in self._by_protocol.items() if connection.is_closed]:
            del self._by_protocol[protocol]
