"""A fixed number of bytes from one namespace to another over one TCP connection, and what it cost.

Two processes, one at each end, that send from a buffer and receive into one, as most programs do. Processor time is
what both used, user and kernel: on a veth the forwarding is done in the sender's and the receiver's own time.
Congestion control is cubic, Linux's default, whatever the machine's is: another may pace, and then its timers and not
the path decide.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from rig.probes import family
from tests.prober import inside

_PORT = 5201
_CHUNK = 128 << 10


@dataclass(frozen=True, slots=True)
class Transfer:
    size: int
    seconds: float
    cpu_seconds: float

    @property
    def gigabytes_per_second(self) -> float:
        return self.size / self.seconds / 1e9

    @property
    def cpu_seconds_per_gigabyte(self) -> float:
        return self.cpu_seconds / self.size * 1e9


def transfer(source: Path, target: Path, address: str, size: int) -> Transfer:
    kind = socket.AF_INET6 if family(address) == 6 else socket.AF_INET
    with inside(target):
        listener = socket.create_server((address, _PORT), family=kind)
    with inside(source):
        sender = socket.socket(kind, socket.SOCK_STREAM)
    for end in (listener, sender):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    with closing(listener), closing(sender):
        sender.settimeout(10)
        sender.connect((address, _PORT))
        receiver, _ = listener.accept()
        sender.settimeout(None)
        with closing(receiver):
            return _run(sender, receiver, size)


def _run(sender: socket.socket, receiver: socket.socket, size: int) -> Transfer:
    with _child(lambda: _receive(receiver, size)) as taking, _child(lambda: _send(sender, size)) as giving:
        (started, _, sender_cpu), (_, ended, receiver_cpu) = giving.recv(), taking.recv()
    return Transfer(size, ended - started, sender_cpu + receiver_cpu)


@contextmanager
def _child(act: Callable[[], None]) -> Iterator[Connection]:
    """It tells its start and end by the clock of time.monotonic(), and the processor seconds in between."""
    here, there = multiprocessing.Pipe(duplex=False)

    def measured(end: Connection) -> None:
        started, cpu = time.monotonic(), _cpu_seconds()
        act()
        end.send((started, time.monotonic(), _cpu_seconds() - cpu))

    process = multiprocessing.get_context("fork").Process(target=measured, args=(there,), daemon=True)
    process.start()
    there.close()
    yield here
    process.join()


def _send(sender: socket.socket, size: int) -> None:
    content = memoryview(os.urandom(_CHUNK))
    left = size
    while left:
        left -= sender.send(content[: min(left, _CHUNK)])


def _receive(receiver: socket.socket, size: int) -> None:
    buffer = bytearray(_CHUNK)
    left = size
    while left:
        count = receiver.recv_into(buffer, min(left, _CHUNK))
        if count == 0:
            raise ConnectionError(f"the stream ended {left} bytes early")
        left -= count


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
