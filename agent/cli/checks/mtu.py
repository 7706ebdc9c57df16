"""MTU: where a packet that a pod may send does not fit. Path-MTU discovery mends it only where ICMP gets through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from agent.cli.checks.machine import Machine
from agent.cli.checks.registry import Finding, check, fail, ok, warn
from agent.network import uplink

_GROUP = "network"
_LEAST_IPV6 = 1280
_TUNNELS = ("vxlan", "wireguard", "gre", "gretap", "ip6gre", "ipip", "sit", "geneve", "tun", "vti", "xfrm", "ip6tnl")


@check(_GROUP, "MTU")
def mtu(machine: Machine) -> Iterator[Finding]:
    outside = uplink.mtu(machine.facts, machine.families, machine.ours)
    wanted = machine.config.network.mtu or outside
    found = [*_small(machine, wanted), *_large(wanted, outside), *_uneven(machine, wanted), *_tunnels(machine, wanted)]
    yield from found or (ok(f"{wanted} on pod links, {outside} on the uplink"),)


def _small(machine: Machine, wanted: int) -> Iterator[Finding]:
    if 6 in machine.families and wanted < _LEAST_IPV6:
        yield fail(f"{wanted} is below {_LEAST_IPV6}, the least that IPv6 works with", "raise network.mtu or the uplink's MTU")


def _large(wanted: int, outside: int) -> Iterator[Finding]:
    if wanted > outside:
        yield warn(
            f"network.mtu {wanted} is above the uplink's {outside}: every large packet needs path-MTU discovery", f"network.mtu: {outside}"
        )


def _uneven(machine: Machine, wanted: int) -> Iterator[Finding]:
    """A bridge drops what does not fit the port it leaves by, without a word."""
    sizes = Counter(found.mtu for found in machine.our_devices)
    odd = {size: count for size, count in sizes.items() if size != wanted}
    if odd:
        text = ", ".join(f"{count} with {size}" for size, count in sorted(odd.items()))
        yield warn(f"pod links should have {wanted}, but there are {text}", "restart the agent; links of pods follow the uplink")


def _tunnels(machine: Machine, wanted: int) -> Iterator[Finding]:
    routed = {route.device for route in machine.facts.routes}
    for link in machine.facts.links:
        if link.kind in _TUNNELS and link.is_up and link.name in routed and link.mtu < wanted:
            yield warn(
                f"pods' packets to networks behind {link.name} ({link.kind}) must fit {link.mtu}, pods have {wanted}",
                f"network.mtu: {link.mtu}, unless ICMP 'fragmentation needed' passes everywhere",
            )
