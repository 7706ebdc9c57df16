"""A pod's bandwidth limits: what may be asked for, and what the kernel must hold for them. Pure.

Towards the pod a token bucket is the host veth's root qdisc. What comes from the pod enters a device, and that cannot
be shaped; so it is handed to an ifb link of the pod's own, leaves that one through a bucket, and enters the host veth
once more. nftables hands it over (firewall/shaping.py), behind the judgement of routed mode. tc's own redirect comes
before it, and what returns from an ifb skips the ingress hooks: no packet would be judged, all dropped (measured).
Runtimes that know a rate only fill in a burst that means "none in particular"; taken at its word it would let a
quarter of a gigabyte pass at any limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from agent.errors import InvalidObject
from agent.kernel import link, tc
from agent.kernel.link import Link
from agent.kernel.netlink import Request
from agent.kernel.tc import RootQdisc, TokenBucket
from agent.network.node import POD_LINK_PREFIX, SHAPER_LINK_PREFIX
from agent.objects.attachment import Attachment, Bandwidth

LOWEST_RATE, HIGHEST_RATE = 1_000, 10**15
_UNBOUNDED_BURST = 2**31 - 1
"""From here on a burst is some runtime's largest integer."""
_BURST_S = 0.025
"""As long as a busy machine may let a packet wait: what the bucket cannot hold meanwhile is lost rate (a tick of 4 ms
lost 8 % at 200 Mbit/s on two loaded cores; this, with the queue below, nothing)."""
_QUEUE_S = 0.05
_LEAST_FRAMES = 10
_FRAME_HEADER = 14


def check(wanted: Bandwidth) -> None:
    """Raises InvalidObject with a problem per field that cannot be had."""
    problems = tuple(_problems(wanted))
    if problems:
        raise InvalidObject(problems[0], problems=problems)


def _problems(wanted: Bandwidth) -> Iterator[str]:
    for direction, rate, burst in (
        ("ingress", wanted.ingress_rate, wanted.ingress_burst),
        ("egress", wanted.egress_rate, wanted.egress_burst),
    ):
        if rate and not LOWEST_RATE <= rate <= HIGHEST_RATE:
            yield f"bandwidth.{direction}Rate: {rate} bit/s is out of range, write {LOWEST_RATE} to {HIGHEST_RATE}, or 0 for no limit"
        if burst and not rate:
            yield f"bandwidth.{direction}Burst: {burst} bits without a rate: give {direction}Rate too, or no burst"


def bucket(rate: int, burst: int, mtu: int) -> TokenBucket:
    """`rate` in bit/s, `burst` in bits. A bucket smaller than a frame would never let one pass."""
    bytes_per_s, frame = rate // 8, mtu + _FRAME_HEADER
    usual = max(int(bytes_per_s * _BURST_S), _LEAST_FRAMES * frame)
    size = max(burst // 8, frame) if 0 < burst < _UNBOUNDED_BURST else usual
    return TokenBucket(bytes_per_s, size, size + int(bytes_per_s * _QUEUE_S))


def ingress_bucket(attachment: Attachment) -> TokenBucket | None:
    wanted = attachment.bandwidth
    return bucket(wanted.ingress_rate, wanted.ingress_burst, attachment.mtu) if wanted.ingress_rate else None


def egress_bucket(attachment: Attachment) -> TokenBucket | None:
    wanted = attachment.bandwidth
    return bucket(wanted.egress_rate, wanted.egress_burst, attachment.mtu) if wanted.egress_rate else None


def shaper_ifname(attachment: Attachment) -> str:
    own = attachment.attachment_key.digest[:12] if attachment.is_chained else attachment.host_ifname.removeprefix(POD_LINK_PREFIX)
    return SHAPER_LINK_PREFIX + own


def shaper_ifindex(attachment: Attachment) -> int:
    """The number that the pod's end of our veth has in the pod's namespace is free in the node's."""
    return attachment.shaper_ifindex or attachment.host_ifindex + 1


def ensure(attachment: Attachment, alias: str) -> tuple[Request, ...]:
    """Both limits, where there are any; idempotent. The host veth must exist."""
    requests: list[Request] = []
    if towards := ingress_bucket(attachment):
        requests.append(tc.set_bucket(attachment.host_ifindex, towards))
    if sending := egress_bucket(attachment):
        index = shaper_ifindex(attachment)
        requests += (
            link.create_ifb(shaper_ifname(attachment), index, mtu=attachment.mtu),
            link.configure(index, alias=alias, link_local=False),
            tc.set_bucket(index, sending),
            link.set_mtu(index, attachment.mtu),
            link.set_up(index),
        )
    return tuple(requests)


def settle(attachment: Attachment, alias: str, qdiscs: Iterable[RootQdisc]) -> tuple[Request, ...]:
    """Its limits, and away with one towards the pod that is not wanted. (The other direction's goes with its link.)"""
    index = attachment.host_ifindex
    is_stray = (
        not attachment.is_chained
        and not attachment.bandwidth.ingress_rate
        and any(found.index == index and found.bucket for found in qdiscs)
    )
    return (*ensure(attachment, alias), *((tc.remove_bucket(index),) if is_stray else ()))


def missing(attachment: Attachment, links: Sequence[Link], qdiscs: Sequence[RootQdisc]) -> tuple[str, ...]:
    """The limits of an attachment that the kernel does not hold, as words."""
    shaped = {found.index: found.bucket.rate for found in qdiscs if found.bucket}
    up = {found.index for found in links if found.is_up}
    wanted = (
        ("ingress", attachment.host_ifindex, ingress_bucket(attachment)),
        ("egress", shaper_ifindex(attachment), egress_bucket(attachment)),
    )
    return tuple(name for name, index, want in wanted if want and (index not in up or shaped.get(index) != want.rate))
