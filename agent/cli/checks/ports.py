"""Host ports of pods on which a program of the node listens too: whoever asks from outside gets the pod."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from agent.cli.checks.machine import Machine, host_ports
from agent.cli.checks.registry import Finding, check, ok, warn
from agent.objects.meta import IPAddress

_GROUP = "network"
_LISTENING, _UNCONNECTED = "0A", "07"
_FILES = {"TCP": (("tcp", _LISTENING), ("tcp6", _LISTENING)), "UDP": (("udp", _UNCONNECTED), ("udp6", _UNCONNECTED))}


@dataclass(frozen=True, slots=True)
class Listener:
    protocol: str
    address: IPAddress
    port: int
    inode: str


@check(_GROUP, "host ports")
def ports(machine: Machine) -> Iterator[Finding]:
    wanted = list(host_ports(machine.agent.pods))
    listening = list(listeners(machine))
    taken = [(pod, port, one) for pod, port in wanted for one in listening if _collide(port, one)]
    for pod, port, one in taken:
        name = f"{port.get('protocol', 'TCP')} {port['hostPort']}"
        message = f"{name} of pod {pod} is also listened on by {_program(machine, one)}, which hears nobody"
        yield warn(message, "stop that program, or give the pod another hostPort")
    if not taken:
        yield ok(f"{len(wanted)} in use, none of them by a program of the node too")


def listeners(machine: Machine) -> Iterator[Listener]:
    """Of this network namespace."""
    for protocol, files in _FILES.items():
        for file, state in files:
            for line in (machine.read(f"/proc/net/{file}") or "").splitlines()[1:]:
                words = line.split()
                if words[3] == state:
                    address, _, port = words[1].partition(":")
                    yield Listener(protocol, _address(address), int(port, 16), words[9])


def _address(text: str) -> IPAddress:
    """Words of four bytes, each in the machine's own order."""
    words = (int(text[at : at + 8], 16) for at in range(0, len(text), 8))
    return ip_address(b"".join(word.to_bytes(4, sys.byteorder) for word in words))


def _collide(port: dict[str, object], one: Listener) -> bool:
    if (port.get("protocol", "TCP"), port["hostPort"]) != (one.protocol, one.port) or one.address.is_loopback:
        return False
    wanted = ip_address(str(port.get("hostIP") or "::"))
    return wanted.is_unspecified or one.address.is_unspecified or wanted == _plain(one.address)


def _plain(address: IPAddress) -> IPv4Address | IPv6Address:
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address


def _program(machine: Machine, one: Listener) -> str:
    for directory in machine.files("/proc", "[0-9]*/fd"):
        if _holds(directory, f"socket:[{one.inode}]"):
            return f"{machine.read(f'/proc/{directory.parent.name}/comm')} (pid {directory.parent.name})"
    return "a program of the node"


def _holds(directory: Path, wanted: str) -> bool:
    try:
        return any(os.readlink(entry.path) == wanted for entry in os.scandir(directory))
    except OSError:
        return False  # ended meanwhile, or not ours to see
