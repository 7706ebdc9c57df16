"""Packets sent and seen as they are: raw frames on a link, SCTP without a stack, echo requests.

A packet that must not arrive is followed by one that must (the fence): whoever reads on until the fence has seen
everything that came before it, and nothing waits for silence.
"""

from __future__ import annotations

import itertools
import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from tests import frames
from tests.prober import family_of, inside

ETH_P_ALL, SCTP = 0x0003, 132
_OUTGOING, _SO_RCVBUFFORCE = 4, 33
_ECHO = {4: (8, 0), 6: (128, 129)}
_numbers = itertools.count(os.getpid() & 0x7FFF)


class Wire:
    """A raw socket on one link of one place: sends any frame, and sees what comes in (not what the place itself sends)."""

    def __init__(self, place: Path, link: str) -> None:
        with inside(place):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self._socket.bind((link, ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 4 << 20)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def mac(self) -> str:
        address: bytes = self._socket.getsockname()[4]
        return address.hex(":")

    def send(self, *wanted: bytes) -> None:
        for frame in wanted:
            self._socket.send(frame)

    def seen(self, timeout_s: float = 0.0) -> Iterator[bytes]:
        """Frames as they come in, until none comes for so long."""
        while select.select([self._socket], [], [], timeout_s)[0]:
            frame, (_, _, kind, *_) = self._socket.recvfrom(65536)
            if kind != _OUTGOING:
                yield frame

    def seen_until(self, fence: bytes, timeout_s: float = 2.0) -> list[bytes]:
        """All frames up to the one that holds `fence`, which must come."""
        found: list[bytes] = []
        for frame in self.seen(timeout_s):
            if fence in frame:
                return found
            found.append(frame)
        raise AssertionError(f"{fence!r} did not arrive; seen: {[frame.hex() for frame in found]}")


class Tap:
    """Sees what comes and goes on every link of a place, also on those that are made later."""

    def __init__(self, place: Path) -> None:
        with inside(place):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 16 << 20)

    def __enter__(self) -> Tap:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def seen(self) -> Iterator[tuple[str, bytes]]:
        """(link, frame) since the last call."""
        while select.select([self._socket], [], [], 0)[0]:
            frame, (link, *_) = self._socket.recvfrom(65536)
            yield link, frame


@contextmanager
def on_one_cpu() -> Iterator[None]:
    """Frames sent by one CPU keep their order on their way through the node."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def ping(place: Path, address: str, timeout_s: float = 1.0) -> bool:
    """One echo request: was it answered?"""
    family = ip_address(address).version
    request, reply = _ECHO[family]
    number = next(_numbers) & 0xFFFF
    message = struct.pack(">BBHHH", request, 0, 0, number, 1)
    message = message[:2] + struct.pack(">H", frames.checksum(message)) + message[4:]  # the kernel does it itself for IPv6
    with inside(place):
        raw = socket.socket(family_of(address), socket.SOCK_RAW, socket.IPPROTO_ICMP if family == 4 else socket.IPPROTO_ICMPV6)
    with raw:
        raw.sendto(message, (address, 0))
        for answer, sender in received(raw, family, timeout_s):
            if answer[:1] == bytes([reply]) and answer[4:6] == message[4:6] and sender == address:
                return True
    return False


def received(raw: socket.socket, family: int, timeout_s: float) -> Iterator[tuple[bytes, str]]:
    """(message without IP header, sender) of what a raw socket gets, until the time is over."""
    deadline = time.monotonic() + timeout_s
    while (left := deadline - time.monotonic()) > 0 and select.select([raw], [], [], left)[0]:
        packet, (sender, *_) = raw.recvfrom(65536)
        yield packet[(packet[0] & 15) * 4 :] if family == 4 else packet, sender.split("%")[0]


# -- SCTP -------------------------------------------------------------------------------------------------------------

INIT, INIT_ACK = 1, 2
_CHUNK = struct.Struct(">BBHIIHHI")
_COOKIE = struct.pack(">HH", 7, 8) + b"cook"


@dataclass(frozen=True)
class Sctp:
    """A packet with one INIT or INIT-ACK chunk; `tag` is the verification tag that the answer will carry."""

    source_port: int
    destination_port: int
    chunk: int
    tag: int
    verification_tag: int = 0

    def __bytes__(self) -> bytes:
        cookie = _COOKIE if self.chunk == INIT_ACK else b""
        chunk = _CHUNK.pack(self.chunk, 0, _CHUNK.size + len(cookie), self.tag, 65536, 1, 1, 1) + cookie
        head = struct.pack(">HHI", self.source_port, self.destination_port, self.verification_tag)
        return head + struct.pack("<I", crc32c(head + bytes(4) + chunk)) + chunk

    @classmethod
    def parse(cls, packet: bytes) -> Sctp:
        """A wrong checksum is an error: network address translation must mend it."""
        assert struct.unpack_from("<I", packet, 8)[0] == crc32c(packet[:8] + bytes(4) + packet[12:]), "wrong SCTP checksum"
        source, destination, verification = struct.unpack_from(">HHI", packet)
        kind, _, _, tag, *_ = _CHUNK.unpack_from(packet, 12)
        return cls(source, destination, kind, tag, verification)


class SctpEnd:
    """A place that speaks SCTP by hand, from and to any port of an address (by default of the one that fits)."""

    def __init__(self, place: Path, family: int, address: str = "") -> None:
        self._family = family
        with inside(place):
            self._socket = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_RAW, SCTP)
            self._socket.bind((address, 0))

    def __enter__(self) -> SctpEnd:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, packet: Sctp, address: str) -> None:
        self._socket.sendto(bytes(packet), (address, 0))

    def receive(self, chunk: int, timeout_s: float = 2.0) -> tuple[Sctp, str]:
        """The next packet with such a chunk, and its sender."""
        for message, sender in received(self._socket, self._family, timeout_s):
            packet = Sctp.parse(message)
            if packet.chunk == chunk:
                return packet, sender
        raise AssertionError(f"no SCTP chunk of type {chunk} arrived")


def crc32c(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value = _CRC_TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def _crc_table_entry(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRC_TABLE = [_crc_table_entry(byte) for byte in range(256)]
