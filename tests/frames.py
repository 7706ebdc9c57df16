"""Frames as bytes, for tests that send what no honest pod would."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

UDP, ICMPV6 = 17, 58
_ETHERTYPE = {4: 0x0800, 6: 0x86DD}
Address = IPv4Address | IPv6Address


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def ethernet(destination: str, source: str, kind: int, payload: bytes) -> bytes:
    return mac(destination) + mac(source) + struct.pack(">H", kind) + payload


def ip(source: Address, destination: Address, protocol: int, payload: bytes) -> bytes:
    if source.version == 6:
        return struct.pack(">IHBB", 6 << 28, len(payload), protocol, 255) + source.packed + destination.packed + payload
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0) + source.packed + destination.packed
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def udp(source: Address, destination: Address, port: int, data: bytes) -> bytes:
    segment = struct.pack(">HHHH", 40000, port, 8 + len(data), 0) + data
    return ip(
        source, destination, UDP, segment[:6] + struct.pack(">H", transport_checksum(source, destination, UDP, segment)) + segment[8:]
    )


def neighbour(kind: int, source: Address, destination: Address, target: Address, rest: bytes = b"") -> bytes:
    """A neighbour solicitation (135), advertisement (136) or redirect (137); `rest` is what follows the target."""
    message = struct.pack(">BBHI", kind, 0, 0, 0) + target.packed + rest
    return ip(
        source, destination, ICMPV6, message[:2] + struct.pack(">H", transport_checksum(source, destination, ICMPV6, message)) + message[4:]
    )


def arp(sender_mac: str, sender: Address, target: Address) -> bytes:
    return struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + mac(sender_mac) + sender.packed + bytes(6) + target.packed


def packet(destination_mac: str, source_mac: str, payload: bytes) -> bytes:
    """An IP packet in its frame."""
    return ethernet(destination_mac, source_mac, _ETHERTYPE[payload[0] >> 4], payload)


def transport_checksum(source: Address, destination: Address, protocol: int, payload: bytes) -> int:
    """The checksum of a transport message, which covers the addresses too."""
    pseudo = struct.pack(">II", len(payload), protocol)
    return checksum(source.packed + destination.packed + pseudo + payload)


def checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
