"""Netlink framing: requests as values, and a socket that sends a batch and reads its answers.

A `Request` prints itself as the command a person would have typed, so a plan made of requests can be read and
tested as text. pyroute2 costs 0.7 ms per message and 24 MB (measured: 738 µs to encode a veth against 5 here),
so all messages are packed here, and pyroute2 only judges them in tests.

What the kernel forces here: messages of one sendmsg are handled in order, each on its own (no transaction on
NETLINK_ROUTE); an error is always reported, an ACK only where asked, so one ACK at the end is enough; a dump
can be interrupted by a change (NLM_F_DUMP_INTR) and must then be read again.
"""

from __future__ import annotations

import errno
import itertools
import os
import socket
import struct
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field

from agent.errors import DeadlineExceeded, KernelError
from agent.kernel import bpf
from agent.killpoint import reach

NETLINK_ROUTE = 0
NETLINK_SOCK_DIAG = 4
NETLINK_NETFILTER = 12

NLM_F_REQUEST, NLM_F_MULTI, NLM_F_ACK = 0x1, 0x2, 0x4
NLM_F_DUMP_INTR = 0x10
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE, NLM_F_APPEND = 0x100, 0x200, 0x400, 0x800
NLM_F_DUMP = 0x300

NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE = 1, 2, 3
NLA_F_NESTED = 0x8000
_NLA_TYPE_MASK = 0x3FFF
_NLM_F_ACK_TLVS, _NLM_F_CAPPED = 0x200, 0x100
_NLMSGERR_ATTR_MSG = 1

_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK = 270, 1, 10, 11
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_PORT_OFFSET = 12
_DUMP_TRIES = 10

_HEADER = struct.Struct("=IHHII")
_ATTR = struct.Struct("=HH")
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


def attr(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    length = len(payload) + 4
    return _ATTR.pack(length, kind) + payload + _PADDING[length & 3]


def nested(kind: int, *attributes: bytes) -> bytes:
    return attr(kind | NLA_F_NESTED, b"".join(attributes))


def u8(kind: int, value: int) -> bytes:
    return attr(kind, value.to_bytes(1, "little"))


def u16(kind: int, value: int) -> bytes:
    return attr(kind, struct.pack("=H", value))


def u32(kind: int, value: int) -> bytes:
    return attr(kind, struct.pack("=I", value))


def be32(kind: int, value: int) -> bytes:
    return attr(kind, value.to_bytes(4, "big"))


def text(kind: int, value: str) -> bytes:
    return attr(kind, value.encode() + b"\0")


def attributes(payload: bytes | memoryview) -> Iterator[tuple[int, bytes]]:
    """(type without flags, payload) of each attribute in a buffer."""
    view, offset, end = memoryview(payload), 0, len(payload)
    while offset + 4 <= end:
        length, kind = _ATTR.unpack_from(view, offset)
        if length < 4:
            return
        yield kind & _NLA_TYPE_MASK, bytes(view[offset + 4 : offset + length])
        offset += (length + 3) & ~3


def attribute_map(payload: bytes | memoryview) -> dict[int, bytes]:
    return dict(attributes(payload))


def some_attributes(payload: bytes, wanted: frozenset[int]) -> dict[int, bytes]:
    """Of the kinds asked for; skipping the others is worth it where there are many of them."""
    found: dict[int, bytes] = {}
    offset, end = 0, len(payload)
    while offset + 4 <= end:
        length, kind = _ATTR.unpack_from(payload, offset)
        if length < 4:
            break
        if kind & _NLA_TYPE_MASK in wanted:
            found[kind & _NLA_TYPE_MASK] = payload[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


@dataclass(frozen=True, slots=True)
class Request:
    """One message. `kind` includes the subsystem for NETLINK_NETFILTER; `tolerate`: errnos that mean "already so"."""

    kind: int
    flags: int
    body: bytes = field(repr=False)
    text: str
    tolerate: frozenset[int] = frozenset()

    def __str__(self) -> str:
        return self.text

    def encode(self, sequence: int, *, acknowledge: bool) -> bytes:
        flags = self.flags | NLM_F_REQUEST | (NLM_F_ACK if acknowledge else 0)
        return _HEADER.pack(len(self.body) + 16, self.kind, flags, sequence, 0) + self.body + _PADDING[len(self.body) & 3]


@dataclass(frozen=True, slots=True)
class Reply:
    kind: int
    flags: int
    sequence: int
    payload: bytes


def messages(datagram: bytes) -> Iterator[Reply]:
    """Split what one recv returned."""
    offset, end = 0, len(datagram)
    while offset + 16 <= end:
        length, kind, flags, sequence, _ = _HEADER.unpack_from(datagram, offset)
        if length < 16:
            return
        yield Reply(kind, flags, sequence, datagram[offset + 16 : offset + length])
        offset += (length + 3) & ~3


def failure(reply: Reply, request: str) -> KernelError | None:
    """The error an NLMSG_ERROR message carries, with the kernel's own explanation; None for an ACK."""
    (negative,) = struct.unpack_from("=i", reply.payload)
    if negative == 0:
        return None
    detail = ""
    if reply.flags & _NLM_F_ACK_TLVS:
        (original,) = struct.unpack_from("=I", reply.payload, 4)
        start = 20 if reply.flags & _NLM_F_CAPPED else 4 + ((original + 3) & ~3)
        detail = attribute_map(reply.payload[start:]).get(_NLMSGERR_ATTR_MSG, b"").rstrip(b"\0").decode(errors="replace")
    return KernelError(-negative, request, detail)


class NetlinkSocket:
    """A bound socket for requests. It belongs for ever to the network namespace its thread was in when it was made.

    One transaction at a time: callers on other threads wait.
    """

    def __init__(self, protocol: int, *, timeout_s: float = 30.0) -> None:
        self._lock = threading.Lock()
        self._sequence = itertools.count(int.from_bytes(os.urandom(3), "little") + 1)
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        self._socket.bind((0, 0))
        self._socket.settimeout(timeout_s)

    def __enter__(self) -> NetlinkSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def set_receive_buffer(self, size_bytes: int) -> None:
        """Beyond rmem_max; needs CAP_NET_ADMIN."""
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size_bytes)

    def set_send_buffer(self, size_bytes: int) -> None:
        """Beyond wmem_max; one sendmsg must fit."""
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, size_bytes)

    @property
    def port(self) -> int:
        """The number by which the kernel knows this socket."""
        port: int = self._socket.getsockname()[0]
        return port

    def exchange(self, count: int, encode: Callable[[int], bytes], what: str) -> Generator[tuple[int, Reply], None, None]:
        """For protocols with transactions of their own: send `encode(first)`, which uses `count` sequence numbers, then
        give (position, answer) of every answer until the caller closes this generator. Other threads wait that long."""
        with self._lock:
            first = next(self._sequence)
            self._sequence = itertools.count(first + count)
            self._socket.send(encode(first))
            while True:
                for reply in messages(self._receive(what)):
                    if first <= reply.sequence < first + count:
                        yield reply.sequence - first, reply

    def transact(self, requests: Sequence[Request]) -> None:
        """Send all, wait for the last to be done. All are tried; the first error that no request tolerates is raised."""
        if not requests:
            return
        reach(f"netlink before {requests[0].text}")
        with self._lock:
            pending = {next(self._sequence): request for request in requests}
            last = max(pending)
            self._socket.send(b"".join(r.encode(n, acknowledge=n == last) for n, r in pending.items()))
            error = self._collect(pending, last)
        reach(f"netlink after {requests[-1].text}")
        if error is not None:
            raise error

    def _collect(self, pending: dict[int, Request], last: int) -> KernelError | None:
        first: KernelError | None = None
        while True:
            for reply in messages(self._receive(str(pending[last]))):
                request = pending.get(reply.sequence)
                if request is None or reply.kind != NLMSG_ERROR:
                    continue
                error = failure(reply, request.text)
                if error is not None and error.errno not in request.tolerate:
                    first = first or error
                if reply.sequence == last:
                    return first

    def _receive(self, what: str) -> bytes:
        try:
            return self._socket.recv(1 << 18)
        except TimeoutError:
            raise DeadlineExceeded(f"kernel did not answer `{what}` within {self._socket.gettimeout()} s") from None

    def send(self, request: Request) -> None:
        """Send without waiting for the answer (it is skipped later by its sequence number)."""
        reach(f"netlink send {request.text}")
        with self._lock:
            self._socket.send(request.encode(next(self._sequence), acknowledge=False))

    def ask(self, request: Request) -> Reply | None:
        """For one object; None for an error that the request tolerates."""
        with self._lock:
            sequence = next(self._sequence)
            self._socket.send(request.encode(sequence, acknowledge=False))
            while True:
                for reply in messages(self._receive(request.text)):
                    if reply.sequence != sequence:
                        continue
                    if reply.kind != NLMSG_ERROR:
                        return reply
                    error = failure(reply, request.text)
                    if error is None or error.errno in request.tolerate:
                        return None
                    raise error

    def dump(self, request: Request) -> list[Reply]:
        """Every message of a dump, read again as long as a concurrent change interrupted it."""
        for _ in range(_DUMP_TRIES):
            replies, interrupted = self._dump_once(request)
            if not interrupted:
                return replies
        raise KernelError(errno.EINTR, request.text, f"interrupted {_DUMP_TRIES} times by other changes")

    def _dump_once(self, request: Request) -> tuple[list[Reply], bool]:
        found: list[Reply] = []
        interrupted = False
        with self._lock:
            sequence = next(self._sequence)
            self._socket.send(request.encode(sequence, acknowledge=False))
            while True:
                for reply in messages(self._receive(request.text)):
                    if reply.sequence != sequence:
                        continue
                    interrupted |= bool(reply.flags & NLM_F_DUMP_INTR)
                    if reply.kind == NLMSG_DONE:
                        return found, interrupted
                    if reply.kind == NLMSG_ERROR:
                        error = failure(reply, request.text)
                        if error is None or error.errno in request.tolerate:
                            return found, interrupted
                        if error.errno == errno.EINTR:
                            return found, True
                        raise error
                    found.append(reply)


class NetlinkListener:
    """A socket subscribed to multicast groups. Losing messages (ENOBUFS) is told to the handler, which must re-read."""

    def __init__(self, protocol: int, groups: Sequence[int], *, buffer_bytes: int = 8 << 20) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer_bytes)
        self._socket.bind((0, 0))
        for group in groups:
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)

    def ignore_requests_of(self, port: int) -> None:
        """Announcements of what that socket asked for are dropped by the kernel: nobody is woken for them."""
        self.ignore_where(bpf.word_is(_PORT_OFFSET, port))

    def ignore_where(self, *tests: bpf.Test) -> None:
        """Announcements for which all tests hold are dropped by the kernel. Replaces what was said before."""
        bpf.drop_where(self._socket, *tests)

    def send(self, message: bytes) -> None:
        """A request through the subscribed socket; its answer is delivered like the announcements."""
        self._socket.send(message)

    def fileno(self) -> int:
        return self._socket.fileno()

    def read_waiting(self) -> tuple[Reply, ...] | None:
        """What has come so far, without waiting; None if some was lost. Not beside run()."""
        found: list[Reply] = []
        is_whole = True
        while True:
            try:
                found += messages(self._socket.recv(1 << 18, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return tuple(found) if is_whole else None
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                is_whole = False

    def run(self, handle: Callable[[Reply], None], lost: Callable[[], None]) -> None:
        """Deliver until close(); meant for a thread of its own."""
        while True:
            try:
                datagram = self._socket.recv(1 << 18)
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    lost()
                    continue
                return
            for reply in messages(datagram):
                handle(reply)

    def close(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()
