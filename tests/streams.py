"""How fast a TCP connection really is between two places, both ends in this process.

Counted by the receiving kernel, so that a busy machine that lets the reader wait does not change the result.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.prober import family_of, inside

_CHUNK = bytes(64 << 10)
_TCPI_BYTES_RECEIVED = 128
_CERTAIN_S = 0.002


class Sample(NamedTuple):
    at_s: float
    received_bytes: int

    def rate_until(self, later: Sample) -> float:
        """Payload in Mbit/s."""
        return (later.received_bytes - self.received_bytes) * 8 / (later.at_s - self.at_s) / 1e6


class Stream:
    """A connection on which as much is sent as it takes."""

    def __init__(self, sender: socket.socket, receiver: socket.socket) -> None:
        self._receiver = receiver
        self._threads = [
            threading.Thread(target=_send, args=(sender,), daemon=True),
            threading.Thread(target=_drain, args=(receiver,), daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def sample(self) -> Sample:
        """A count whose time is certain: a busy machine may let long pass between two lines."""
        while True:
            before = time.monotonic()
            info = self._receiver.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
            if time.monotonic() - before < _CERTAIN_S:
                return Sample(before, *struct.unpack_from("=Q", info, _TCPI_BYTES_RECEIVED))

    def megabits_per_second(self, for_s: float = 1.0) -> float:
        before = self.sample()
        time.sleep(for_s)
        return before.rate_until(self.sample())


@contextlib.contextmanager
def stream(sender: Path, receiver: Path, address: str) -> Iterator[Stream]:
    """Lasts as long as the block."""
    with inside(receiver):
        server = socket.create_server((address, 0), family=family_of(address))
    with inside(sender):
        client = socket.socket(family_of(address), socket.SOCK_STREAM)
    with server, client:
        client.settimeout(10)
        client.connect((address, server.getsockname()[1]))
        accepted, _ = server.accept()
        with accepted:
            running = Stream(client, accepted)
            running.start()
            try:
                yield running
            finally:
                for end in (accepted, client):
                    with contextlib.suppress(OSError):  # the other end may be gone already
                        end.shutdown(socket.SHUT_RDWR)
                running.join()


def _send(client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            client.sendall(_CHUNK)


def _drain(receiver: socket.socket) -> None:
    buffer = bytearray(256 << 10)
    with contextlib.suppress(OSError):
        while receiver.recv_into(buffer):
            pass


def measured(*ways: tuple[Path, Path, str]) -> list[float]:
    """Mbit/s of streams (sender, receiver, receiver's address) that run at the same time, after their first burst."""
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(stream(*way)) for way in ways]
        time.sleep(0.4)
        before = [each.sample() for each in running]
        time.sleep(1.0)
        return [first.rate_until(each.sample()) for first, each in zip(before, running, strict=True)]
