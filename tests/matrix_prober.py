"""Who reaches whom, all pairs at once: one process with raw sockets in all pods, and no time-out for what is denied.

Each question is a packet that opens a flow (SYN, datagram, INIT) with a source port of its own, so that whoever gets it
knows what was asked. When all are sent, from one CPU, a fence follows: a datagram of the node to each pod, twice. The
node always reaches its pods, and packets of one CPU keep their order; what has not arrived before the second fence was
dropped.
"""

from __future__ import annotations

import itertools
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from tests import frames
from tests.packets import INIT, Sctp, on_one_cpu
from tests.prober import NODE, inside

_AF = {4: socket.AF_INET, 6: socket.AF_INET6}
NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}
_FENCE_PORT, _FIRST_PORT, _LAST_PORT = 9, 20000, 60000
_SO_RCVBUFFORCE = 33


class Asked(NamedTuple):
    source: str
    destination: str
    protocol: str
    port: int


class MatrixProber:
    """`places`: where each one stands, and its addresses by family; fences go to pods only. Use as a context manager."""

    def __init__(self, places: Mapping[str, tuple[Path, Mapping[int, str]]], *, but_no_pods: Iterable[str] = ()) -> None:
        self._places, self._fenced = places, places.keys() - set(but_no_pods)
        self._fences: dict[tuple[str, int], socket.socket] = {}
        self._sockets: dict[tuple[str, int, str], socket.socket] = {}
        self._node: dict[int, socket.socket] = {}
        self._stack = ExitStack()
        self._ports = itertools.cycle(range(_FIRST_PORT, _LAST_PORT))

    def __enter__(self) -> MatrixProber:
        for name, (place, addresses) in self._places.items():
            with inside(place):
                for family, protocol in itertools.product(addresses, NUMBERS):
                    self._sockets[name, family, protocol] = self._stack.enter_context(_raw(family, protocol, addresses[family]))
                for family in addresses if name in self._fenced else ():
                    self._fences[name, family] = self._stack.enter_context(_fence_end(family, addresses[family]))
        with inside(NODE):
            for family in (4, 6):
                self._node[family] = self._stack.enter_context(socket.socket(_AF[family], socket.SOCK_DGRAM))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def arrived(self, questions: Iterable[Asked], family: int) -> set[Asked]:
        """Those of the questions whose packet reached its destination."""
        asked: dict[int, Asked] = {}
        self._drain(family)
        with on_one_cpu():
            for question in questions:
                port = next(self._ports)
                asked[port] = question
                self._send(question, port, family)
            for _ in range(2):
                self._fence(family)
        found = set()
        for (name, of_family, protocol), each in self._sockets.items():
            if of_family == family:
                found |= {
                    question
                    for source_port, _ in _received(each, family)
                    if (question := asked.get(source_port)) and (question.destination, question.protocol) == (name, protocol)
                }
        return found

    def _send(self, question: Asked, port: int, family: int) -> None:
        source, destination = (self._places[name][1][family] for name in (question.source, question.destination))
        message = _opening(question, port, source, destination)
        try:
            self._sockets[question.source, family, question.protocol].sendto(message, (destination, 0))
        except PermissionError:
            pass  # a local firewall of the sender's said no: it did not arrive

    def _fence(self, family: int) -> None:
        """From the node to each pod, until all have got it."""
        waiting = {name: each for (name, of_family), each in self._fences.items() if of_family == family}
        for name in waiting:
            self._node[family].sendto(b"fence", (self._places[name][1][family], _FENCE_PORT))
        for name, each in waiting.items():
            try:
                each.recv(16)
            except TimeoutError:
                raise AssertionError(f"the node does not reach {name} over IPv{family}") from None

    def _drain(self, family: int) -> None:
        for (_, of_family, _), each in self._sockets.items():
            if of_family == family:
                for _ in _received(each, family):
                    pass


def _fence_end(family: int, address: str) -> socket.socket:
    made = socket.socket(_AF[family], socket.SOCK_DGRAM)
    made.bind((address, _FENCE_PORT))
    made.settimeout(2.0)
    return made


def _raw(family: int, protocol: str, address: str) -> socket.socket:
    made = socket.socket(_AF[family], socket.SOCK_RAW, NUMBERS[protocol])
    made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 4 << 20)
    made.bind((address, 0))
    made.setblocking(False)
    return made


def _received(own: socket.socket, family: int) -> Iterator[tuple[int, int]]:
    """Source and destination port of what is there."""
    while True:
        try:
            packet = own.recv(2048)
        except BlockingIOError:
            return
        start = (packet[0] & 15) * 4 if family == 4 else 0
        yield struct.unpack_from(">HH", packet, start)


def _opening(asked: Asked, port: int, source: str, destination: str) -> bytes:
    if asked.protocol == "sctp":
        return bytes(Sctp(port, asked.port, INIT, 0x1234))
    if asked.protocol == "udp":
        plain, at = struct.pack(">HHHH", port, asked.port, 8, 0), 6
    else:
        plain, at = struct.pack(">HHIIBBHHH", port, asked.port, 1, 0, 5 << 4, 0x02, 1024, 0, 0), 16
    found = frames.transport_checksum(ip_address(source), ip_address(destination), NUMBERS[asked.protocol], plain)
    return plain[:at] + struct.pack(">H", found) + plain[at + 2 :]
