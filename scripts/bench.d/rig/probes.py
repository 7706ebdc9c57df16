"""Asking pods from the node: ICMP echo and a TCP connection per address, asked again until answered.

One process stands in all namespaces: a socket stays in the namespace that it was made in, so a listener in every pod
costs a visit, not a process. The kernel completes a connection to a listening socket by itself; nobody accepts.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.prober import inside

PORT = 7777
_ASK_AGAIN_S = 0.05
_ECHO_REQUEST = {4: 8, 6: 128}
_ECHO_REPLY = {4: 0, 6: 129}
_ICMP_FILTER, _ICMP6_FILTER = 1, 1
_SOL_RAW = 255


def family(address: str) -> int:
    return 6 if ":" in address else 4


def listen(namespace: Path, port: int = PORT) -> socket.socket:
    """A listener of both families in the namespace."""
    with inside(namespace):
        listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind(("::", port))
    listener.listen(16)
    return listener


def echo_socket(version: int) -> socket.socket:
    """Hears echo replies only."""
    if version == 4:
        found = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        found.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", ~(1 << _ECHO_REPLY[4]) & 0xFFFFFFFF))
    else:
        found = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        blocked = bytearray(b"\xff" * 32)
        blocked[_ECHO_REPLY[6] // 8] &= ~(1 << _ECHO_REPLY[6] % 8)
        found.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, _swapped_words(bytes(blocked)))
    found.setblocking(False)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    return found


def echo_request(version: int, identifier: int, sequence: int) -> bytes:
    """IPv6: the kernel fills the checksum in."""
    message = struct.pack("!BBHHH", _ECHO_REQUEST[version], 0, 0, identifier, sequence) + bytes(16)
    if version == 6:
        return message
    return message[:2] + struct.pack("!H", _checksum(message)) + message[4:]


def echo_reply(version: int, packet: bytes) -> tuple[int, int]:
    """(identifier, sequence); a raw IPv4 socket shows the IP header too."""
    start = (packet[0] & 0xF) * 4 if version == 4 else 0
    identifier, sequence = struct.unpack_from("!HH", packet, start + 4)
    return identifier, sequence


class Asker:
    """Asks every address it is given until each has answered by ICMP and by TCP. Use as a context manager."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._poll = self._open.enter_context(select.epoll())
        self._echo = {version: self._open.enter_context(echo_socket(version)) for version in (4, 6)}
        for raw in self._echo.values():
            self._poll.register(raw, select.EPOLLIN)
        self._connecting: dict[int, tuple[str, socket.socket]] = {}
        self._silent: dict[tuple[str, str], float] = {}
        self.asked_again = 0

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *reason: object) -> None:
        for _, connection in self._connecting.values():
            connection.close()
        self._open.close()

    def ask(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            for kind in ("icmp", "tcp"):
                self._ask(kind, address)

    @property
    def waiting(self) -> int:
        return len(self._silent)

    def silent(self) -> list[str]:
        return sorted(f"{kind} {address}" for kind, address in self._silent)

    def listen(self, seconds: float) -> None:
        """Take answers for so long at most, or until one has come; ask again who is late."""
        for fd, _ in self._poll.poll(min(seconds, _ASK_AGAIN_S)):
            if fd in self._connecting:
                self._connected(fd)
            else:
                self._replied(4 if fd == self._echo[4].fileno() else 6)
        now = time.monotonic()
        for (kind, address), since in list(self._silent.items()):
            if now - since > _ASK_AGAIN_S:
                self.asked_again += 1
                self._ask(kind, address)

    def _ask(self, kind: str, address: str) -> None:
        self._silent[kind, address] = time.monotonic()
        with suppress(OSError):
            if kind == "icmp":
                version = family(address)
                self._echo[version].sendto(echo_request(version, os.getpid() & 0xFFFF, 1), (address, 0))
            else:
                self._connect(address)

    def _connect(self, address: str) -> None:
        connection = socket.socket(socket.AF_INET6 if family(address) == 6 else socket.AF_INET, socket.SOCK_STREAM)
        connection.setblocking(False)
        if connection.connect_ex((address, PORT)) in (0, errno.EINPROGRESS):
            self._connecting[connection.fileno()] = (address, connection)
            self._poll.register(connection, select.EPOLLOUT)
        else:
            connection.close()

    def _connected(self, fd: int) -> None:
        address, connection = self._connecting.pop(fd)
        self._poll.unregister(fd)
        if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in (0, errno.ECONNREFUSED):
            self._silent.pop(("tcp", address), None)
        connection.close()

    def _replied(self, version: int) -> None:
        with suppress(BlockingIOError):
            while True:
                _, sender = self._echo[version].recvfrom(256)
                self._silent.pop(("icmp", sender[0]), None)


def _checksum(message: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(message) // 2}H", message))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def _swapped_words(mask: bytes) -> bytes:
    """The filter is eight 32-bit words in the machine's order."""
    return struct.pack("=8I", *struct.unpack("<8I", mask))
