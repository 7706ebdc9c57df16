"""Traffic that must not notice: a thread that asks over several ways all the time and counts what is lost.

Every 5 ms one datagram goes over each way (the same two sockets for ever: a flow that conntrack knows) and one new TCP
connection over the next way in turn. A lost datagram is one more sent than was answered; a lost TCP segment is a
retransmission (TCP_INFO), so that a busy machine, which only makes answers late, does not look like a loss.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import struct
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.kernel import netns
from tests.prober import TCP, UDP, family_of

PERIOD_S = 0.005
PATIENCE_S = 3.0
"""Longer than the first retransmission of a SYN (1 s), which is what tells a loss from a delay."""
_TOTAL_RETRANSMISSIONS = struct.Struct("=100xI")
"""struct tcp_info: tcpi_total_retrans."""


@dataclass(frozen=True)
class Way:
    """From a place to an address and port, at which a prober.Servers answers."""

    name: str
    place: Path
    address: str
    port: int


@dataclass
class _Flow:
    """`place` is held open: a path below /proc/self means another namespace while the main thread visits one."""

    way: Way
    place: int
    socket: socket.socket
    sent: int = 0
    answered: int = 0

    @classmethod
    def of(cls, way: Way) -> _Flow:
        place = os.open(way.place, os.O_RDONLY | os.O_CLOEXEC)
        with netns.entered(place):
            made = socket.socket(family_of(way.address), UDP)
        made.connect((way.address, way.port))
        made.setblocking(False)
        return cls(way, place, made)

    def close(self) -> None:
        self.socket.close()
        os.close(self.place)


@dataclass
class Traffic:
    """Use as a context manager; `lost` at any time."""

    ways: Sequence[Way]
    asked: int = 0
    """How many questions so far, both kinds."""
    _losses: list[str] = field(default_factory=list)

    def __enter__(self) -> Traffic:
        self._flows = [_Flow.of(way) for way in self.ways]
        self._pause, self._idle, self._stop = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for flow in self._flows:
            flow.close()

    def lost(self) -> list[str]:
        """What was lost since the last call, one line per way and kind; waits until what is under way has arrived."""
        self._pause.set()
        assert self._idle.wait(2 * PATIENCE_S), "the asking thread is dead"
        deadline = time.monotonic() + PATIENCE_S
        while any(flow.answered < flow.sent for flow in self._flows) and time.monotonic() < deadline:
            self._gather()
            time.sleep(0.001)
        found, self._losses = self._losses, []
        for flow in self._flows:
            if flow.answered < flow.sent:
                found.append(f"{flow.way.name}: {flow.sent - flow.answered} of {flow.sent} datagrams")
            flow.sent = flow.answered = 0
        self._idle.clear()
        self._pause.clear()
        return found

    def _run(self) -> None:
        turns = itertools.cycle(self._flows)
        while not self._stop.is_set():
            if self._pause.is_set():
                self._idle.set()
                time.sleep(0.001)
                continue
            due = time.monotonic() + PERIOD_S
            self._send()
            if problem := _connect(flow := next(turns)):
                self._losses.append(f"{flow.way.name}: TCP {problem}")
            self.asked += 1 + len(self._flows)
            self._gather()
            time.sleep(max(due - time.monotonic(), 0))

    def _send(self) -> None:
        for flow in self._flows:
            flow.sent += 1
            with contextlib.suppress(OSError):  # an ICMP error for an earlier one: that one is not answered, so it counts
                flow.socket.send(b"?")

    def _gather(self) -> None:
        for flow in self._flows:
            with contextlib.suppress(OSError):
                while flow.socket.recv(256):
                    flow.answered += 1


def _connect(flow: _Flow) -> str:
    """Ask over a new connection; what went wrong, or ""."""
    way = flow.way
    with netns.entered(flow.place):
        client = socket.socket(family_of(way.address), TCP)
    with client:
        client.settimeout(PATIENCE_S)
        try:
            client.connect((way.address, way.port))
            answer = client.recv(256)
        except OSError as error:
            return str(error)
        (again,) = _TOTAL_RETRANSMISSIONS.unpack(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TOTAL_RETRANSMISSIONS.size))
    if not answer:
        return "was closed without an answer"
    return f"sent {again} segments again" if again else ""
