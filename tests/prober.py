"""One process with sockets in many network namespaces: servers that say who they are and whom they saw, and questions.

A socket belongs to the namespace its thread was in when it was made, so this process can stand in every pod, on the
node and outside at once; no probe starts a process.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agent.kernel import netns

NODE = Path("/proc/self/ns/net")
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
KINDS = {"tcp": TCP, "udp": UDP}
LONGEST, STUCK_S = 65536, 2.0
_RECEIVE_ERRORS = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}


@dataclass(frozen=True, slots=True)
class Answer:
    """`name`: who answered; `saw`: the source address it saw; `sender`: the address its answer came from."""

    name: str
    saw: str
    sender: str


@contextlib.contextmanager
def inside(place: Path) -> Iterator[None]:
    fd = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with netns.entered(fd):
            yield
    finally:
        os.close(fd)


def family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Servers:
    """Echo servers of all places, served by one thread. Use as a context manager."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Servers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._wake.send(b"stop")
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def listen(self, place: Path, name: str, port: int, *, kinds: tuple[str, ...] = ("tcp", "udp"), address: str = "::") -> None:
        """On the wildcard of both families (or one address), for each kind."""
        with inside(place):
            for kind in kinds:
                server = socket.socket(family_of(address), KINDS[kind])
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if ":" in address:
                    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                server.bind((address, port))
                if kind == "tcp":
                    server.listen(64)
                serve = self._accept if kind == "tcp" else _answer_datagram
                self._selector.register(server, selectors.EVENT_READ, partial(serve, name=name))
        self._wake.send(b"more")

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    if b"stop" in self._woken.recv(64):
                        return
                else:
                    with contextlib.suppress(OSError):
                        key.data(key.fileobj)

    def _accept(self, listener: socket.socket, name: str) -> None:
        """The connection's first words are the server's; it goes on for as long as the client likes."""
        connection, peer = listener.accept()
        connection.settimeout(STUCK_S)
        self._selector.register(connection, selectors.EVENT_READ, partial(self._converse, name=name))
        connection.sendall(_answer(name, peer[0]))

    def _converse(self, connection: socket.socket, name: str) -> None:
        with contextlib.suppress(OSError):
            if heard := connection.recv(LONGEST):
                connection.sendall(_answer(name, connection.getpeername()[0], len(heard)))
                return
        self._selector.unregister(connection)
        connection.close()


def _answer_datagram(server: socket.socket, name: str) -> None:
    heard, peer = server.recvfrom(LONGEST)
    server.sendto(_answer(name, peer[0], len(heard)), peer)


def _answer(name: str, saw: str, length: int = 0) -> bytes:
    """At least as long as the question."""
    return f"{name} {_plain(saw)} ".encode().ljust(length, b".")


class Conversation:
    """One flow asked again and again: the same connection, or the same two datagram sockets. Use as a context manager."""

    def __init__(self, place: Path, kind: str, address: str, port: int, *, timeout_s: float = 0.5) -> None:
        with inside(place):
            self.socket = socket.socket(family_of(address), KINDS[kind])
        self.socket.settimeout(timeout_s)
        if kind == "udp":  # without it only a connected socket hears that a port is closed
            self.socket.setsockopt(*_RECEIVE_ERRORS[self.socket.family], 1)
        self._kind, self._to, self._is_open = kind, (address, port), False

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self) -> Answer | None:
        """None when nobody answers in time, or the connection is refused."""
        try:
            return self.demand()
        except OSError:
            return None

    def demand(self) -> Answer:
        """The answer, or the error."""
        return self._ask_stream() if self._kind == "tcp" else self._ask_datagram()

    def _ask_stream(self) -> Answer:
        if self._is_open:
            self.socket.sendall(b"?")
        else:
            self.socket.connect(self._to)
            self._is_open = True
        return _parsed(self.socket.recv(256), self.socket.getpeername()[0])

    def _ask_datagram(self) -> Answer:
        self.socket.sendto(b"?", self._to)
        text, (sender, *_) = self.socket.recvfrom(256)
        return _parsed(text, sender)


def ask(place: Path, kind: str, address: str, port: int, *, timeout_s: float = 0.5) -> Answer | None:
    """Ask once from a place; None when nobody answered in time, or the connection was refused."""
    with Conversation(place, kind, address, port, timeout_s=timeout_s) as conversation:
        return conversation.ask()


def answer(place: Path, kind: str, address: str, port: int) -> Answer:
    """For an answer that must come."""
    with Conversation(place, kind, address, port) as conversation:
        return conversation.demand()


def _parsed(text: bytes, sender: str) -> Answer:
    if not text:
        raise ConnectionResetError
    name, saw, *_ = text.decode().split(" ")
    return Answer(name, saw, _plain(sender))


def _plain(address: str) -> str:
    return address.removeprefix("::ffff:").split("%")[0]
