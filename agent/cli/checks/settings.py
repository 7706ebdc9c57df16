"""Sysctls that decide whether packets pass: forwarding, reverse-path filters, bridge netfilter, router advertisements."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from agent.cli.checks.machine import Machine
from agent.cli.checks.registry import Finding, check, fail, ok, warn

_GROUP = "network"
_FORWARDING = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
_STRICT = 1
_PROTOCOL_RA = 9
_DEFAULT_V6 = ip_network("::/0")


@check(_GROUP, "forwarding")
def forwarding(machine: Machine) -> Iterator[Finding]:
    off = [name for family, name in _FORWARDING.items() if family in machine.families and machine.number(name) == 0]
    if 4 in machine.families and machine.number(_FORWARDING[4]) == 1:
        devices = [*(found.name for found in machine.uplinks), *(found.name for found in machine.our_devices)]
        off += [name for device in devices if machine.number(name := f"net/ipv4/conf/{device}/forwarding") == 0]
    if not off:
        yield ok(f"on for {_families(machine)}")
    elif machine.agent.version:
        yield fail("was turned off after the agent turned it on: pods reach only their node", "; ".join(_write(name, 1) for name in off))
    else:
        yield ok("off; the agent turns it on when it starts")


def _families(machine: Machine) -> str:
    return " and ".join(f"IPv{family}" for family in machine.families)


def _write(name: str, value: int) -> str:
    """sysctl(8) reads slashes too; a device's name may hold dots."""
    return f"sysctl -w {name}={value}"


@check(_GROUP, "reverse path")
def reverse_path(machine: Machine) -> Iterator[Finding]:
    """The kernel takes the larger of `all` and the device's own. On pods' devices strict does no harm (tried, in both modes)."""
    general = machine.number("net/ipv4/conf/all/rp_filter") or 0
    names = [found.name for found in machine.uplinks]
    strict = [name for name in names if max(general, machine.number(f"net/ipv4/conf/{name}/rp_filter") or 0) == _STRICT]
    if strict and len(names) > 1:
        cure = "; ".join(_write(f"net/ipv4/conf/{name}/rp_filter", 2) for name in strict)
        yield warn(f"strict on {', '.join(strict)}, one of several ways out: what comes by another than its answer takes is dropped", cure)
    elif strict:
        yield ok("strict, which does no harm with one way out")
    else:
        yield ok("no strict filter on the uplinks")


@check(_GROUP, "bridge netfilter")
def bridge_netfilter(machine: Machine) -> Iterator[Finding]:
    on = [name for name in ("iptables", "ip6tables") if machine.number(f"net/bridge/bridge-nf-call-{name}")]
    if on:
        yield ok(
            f"on ({', '.join(f'bridge-nf-call-{name}' for name in on)}): other tools' rules see bridged frames too; pods work either way"
        )
    else:
        yield ok("off; pods work either way")


@check(_GROUP, "router advertisements")
def router_advertisements(machine: Machine) -> Iterator[Finding]:
    """A forwarding node obeys them only where accept_ra is 2; its default route then runs out."""
    if 6 not in machine.families:
        return
    advertised = {r.device for r in machine.facts.routes if r.destination == _DEFAULT_V6 and r.protocol == _PROTOCOL_RA}
    is_forwarding = machine.number(_FORWARDING[6]) == 1
    deaf = [found.name for found in machine.uplinks if machine.number(f"net/ipv6/conf/{found.name}/accept_ra") == 1 and is_forwarding]
    for name in deaf:
        cure = _write(f"net/ipv6/conf/{name}/accept_ra", 2)
        if name in advertised:
            yield fail(f"{name} got its IPv6 default route by one and now ignores them: the route will expire", cure)
        else:
            yield warn(f"{name} ignores them since forwarding is on (accept_ra is 1)", cure)
    if not deaf:
        yield ok("no uplink has become deaf to them")
