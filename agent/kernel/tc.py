"""Traffic control: one token bucket per device that is shaped, as rtnetlink requests, and a dump of what is there.

What the kernel forces here: with an Ethernet link layer it computes times itself, so the 1 KiB rate table that tc(8)
sends is not needed; the bucket's size goes in bytes (TCA_TBF_BURST) and the rate in 64 bits beside a 32-bit field
that is full at 34 Gbit/s; a root qdisc of the same kind is changed in place and loses no packet. What leaves a
device can be shaped, what enters it cannot: that takes an ifb link, on which it leaves again (network/bandwidth.py).
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass

from agent.kernel import netlink
from agent.kernel.netlink import NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, NetlinkSocket, Request, nested

RTM_NEWQDISC, RTM_DELQDISC, RTM_GETQDISC = 36, 37, 38

_TCA_KIND, _TCA_OPTIONS = 1, 2
_TBF_PARMS, _TBF_RATE64, _TBF_BURST = 1, 4, 6
_ROOT = 0xFFFFFFFF
_ETHERNET = 1
_MOST_32 = 0xFFFFFFFF

_TCMSG = struct.Struct("=BxxxiIII")
_RATE = struct.Struct("=BBHhHI")
_TBF_QOPT = struct.Struct("=12s12sIII")
_NOTHING_THERE = frozenset({errno.ENOENT, errno.ENODEV})


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """Bytes per second, bytes that may go at once, and bytes that may wait; more are dropped."""

    rate: int
    burst: int
    limit: int

    def __str__(self) -> str:
        return f"tbf rate {self.rate}bps burst {self.burst}b limit {self.limit}b"


@dataclass(frozen=True, slots=True)
class RootQdisc:
    """A device's root qdisc; `bucket` where it is a token bucket."""

    index: int
    kind: str
    bucket: TokenBucket | None


def set_bucket(index: int, bucket: TokenBucket) -> Request:
    """Shape what leaves the device. Whatever its root qdisc is, it is this one afterwards."""
    rate = _RATE.pack(0, _ETHERNET, 0, 0, 0, min(bucket.rate, _MOST_32))
    parameters = _TBF_QOPT.pack(rate, b"", min(bucket.limit, _MOST_32), 0, 0)
    options = nested(
        _TCA_OPTIONS,
        netlink.attr(_TBF_PARMS, parameters),
        netlink.attr(_TBF_RATE64, struct.pack("=Q", bucket.rate)),
        netlink.u32(_TBF_BURST, min(bucket.burst, _MOST_32)),
    )
    body = _TCMSG.pack(0, index, 0, _ROOT, 0) + netlink.text(_TCA_KIND, "tbf") + options
    return Request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, body, f"tc qdisc replace dev index {index} root {bucket}")


def remove_bucket(index: int) -> Request:
    """Back to the device's default. Absent: no-op."""
    return Request(RTM_DELQDISC, 0, _TCMSG.pack(0, index, 0, _ROOT, 0), f"tc qdisc del dev index {index} root", _NOTHING_THERE)


def list_roots(socket: NetlinkSocket) -> list[RootQdisc]:
    """The root qdisc of every device of the socket's namespace."""
    request = Request(RTM_GETQDISC, NLM_F_DUMP, _TCMSG.pack(0, 0, 0, 0, 0), "tc qdisc show root")
    return [found for reply in socket.dump(request) if (found := parse(reply.payload)) is not None]


def parse(payload: bytes) -> RootQdisc | None:
    """A tcmsg with its attributes; None for a qdisc that is not a root."""
    _, index, _, parent, _ = _TCMSG.unpack_from(payload)
    if parent != _ROOT:
        return None
    found = netlink.attribute_map(payload[_TCMSG.size :])
    kind = found.get(_TCA_KIND, b"").rstrip(b"\0").decode()
    return RootQdisc(index, kind, _bucket(found[_TCA_OPTIONS]) if kind == "tbf" else None)


def _bucket(options: bytes) -> TokenBucket:
    """The kernel gives the burst back as a time, in ticks of 64 ns."""
    found = netlink.attribute_map(options)
    rate_spec, _, limit, ticks, _ = _TBF_QOPT.unpack(found[_TBF_PARMS])
    rate = struct.unpack("=Q", found[_TBF_RATE64])[0] if _TBF_RATE64 in found else _RATE.unpack(rate_spec)[5]
    return TokenBucket(rate, round(ticks * 64 * rate / 1_000_000_000), limit)
