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
from pathlib import Path

from agent.kernel import netns

NODE = Path("/proc/self/ns/net")
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
KINDS = {"tcp": TCP, "udp": UDP}


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
                self._selector.register(server, selectors.EVENT_READ, name)
        self._wake.send(b"more")

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    if b"stop" in self._woken.recv(64):
                        return
                else:
                    self._answer(key.fileobj, key.data)  # type: ignore[arg-type]

    def _answer(self, server: socket.socket, name: str) -> None:
        with contextlib.suppress(OSError):
            if server.type == TCP:
                connection, peer = server.accept()
                with connection:
                    connection.sendall(f"{name} {_plain(peer[0])}".encode())
            else:
                _, peer = server.recvfrom(64)
                server.sendto(f"{name} {_plain(peer[0])}".encode(), peer)


def ask(place: Path, kind: str, address: str, port: int, *, timeout_s: float = 0.5) -> Answer | None:
    """Ask from a place; None when nobody answered in time, or the connection was refused."""
    with inside(place):
        client = socket.socket(family_of(address), KINDS[kind])
    with client:
        client.settimeout(timeout_s)
        try:
            if kind == "tcp":
                client.connect((address, port))
                text, sender = client.recv(256), client.getpeername()
            else:
                client.sendto(b"?", (address, port))
                text, sender = client.recvfrom(256)
        except OSError:
            return None
    name, _, saw = text.decode().partition(" ")
    return Answer(name, saw, _plain(sender[0]))


def _plain(address: str) -> str:
    return address.removeprefix("::ffff:").split("%")[0]
