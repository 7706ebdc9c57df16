"""What links have carried: packets and bytes, as the kernel counts them for each."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from agent.kernel import netlink
from agent.kernel.link import RTM_GETLINK
from agent.kernel.netlink import NLM_F_DUMP, NetlinkSocket, Request

_IFINFO_BYTES = 16
_IFLA_IFNAME, _IFLA_STATS64 = 3, 23
_FIRST_FOUR = struct.Struct("=QQQQ")


@dataclass(frozen=True, slots=True)
class Counters:
    """`received` is what entered the node by the link."""

    received_packets: int = 0
    sent_packets: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0

    def since(self, before: Counters) -> Counters:
        """The difference, or all of it where the counters began anew (another link by the same index)."""
        now, then = self.values, before.values
        return self if any(a < b for a, b in zip(now, then, strict=True)) else Counters(*(a - b for a, b in zip(now, then, strict=True)))

    def __add__(self, other: Counters) -> Counters:
        return Counters(*(a + b for a, b in zip(self.values, other.values, strict=True)))

    @property
    def values(self) -> tuple[int, int, int, int]:
        return self.received_packets, self.sent_packets, self.received_bytes, self.sent_bytes


def list_(socket: NetlinkSocket) -> Mapping[str, Counters]:
    """By name, of every link in the socket's namespace."""
    found = {}
    for reply in socket.dump(Request(RTM_GETLINK, NLM_F_DUMP, bytes(_IFINFO_BYTES), "ip -s link show")):
        values = netlink.attribute_map(reply.payload[_IFINFO_BYTES:])
        if _IFLA_STATS64 in values:
            name = values[_IFLA_IFNAME].rstrip(b"\0").decode(errors="replace")
            found[name] = Counters(*_FIRST_FOUR.unpack_from(values[_IFLA_STATS64]))
    return found
