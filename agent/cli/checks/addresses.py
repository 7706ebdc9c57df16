"""Addresses: pod CIDRs against the node's routes, and whether the node's own address is one to be known by."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from agent.cli.checks.machine import Machine
from agent.cli.checks.registry import Finding, check, fail, ok, warn
from agent.kernel import arp
from agent.network import uplink
from agent.network.uplink import AddressFact
from agent.objects.meta import IPAddress

_GROUP = "network"
_DAD_FAILED = 0x08


@check(_GROUP, "pod CIDRs")
def pod_cidrs(machine: Machine) -> Iterator[Finding]:
    for cidr in machine.config.network.pod_cidrs:
        route = uplink.overlap(cidr, machine.facts.routes, machine.ours)
        if route is None:
            yield ok(f"{cidr} overlaps no route")
        else:
            yield fail(f"{cidr} overlaps route {route}: the agent refuses to start", "choose another range with network.podCIDRs")


@check(_GROUP, "node address")
def node_address(machine: Machine) -> Iterator[Finding]:
    configured = machine.config.network.node_ips
    chosen = configured or uplink.node_addresses(machine.facts, machine.families, machine.ours)
    here = {fact.address: fact for fact in machine.facts.addresses}
    for address in chosen:
        if address not in here:
            yield fail(f"{address} (network.nodeIPs) is on no link of this node", "correct network.nodeIPs, or add the address")
        else:
            yield from _judge(machine, address, here[address])
    for family in machine.families:
        if not any(address.version == family for address in chosen):
            yield warn(
                f"the node has no IPv{family} address that others could use", f"give the uplink one, or leave IPv{family} out of podCIDRs"
            )


def _judge(machine: Machine, address: IPAddress, fact: AddressFact) -> Iterator[Finding]:
    others = _others(machine, address)
    if uplink.is_nat_address(address) and others:
        cure = f"set network.nodeIPs to {', '.join(map(str, others[:2]))}"
        yield fail(f"{address} is the NAT address that every virtual machine of this kind has; other nodes cannot reach it", cure)
    elif uplink.is_nat_address(address):
        yield warn(f"{address} is a NAT address: only this machine's host can reach it", "add a network that other nodes are on")
    elif _failed_detection(machine, address):
        yield fail(f"{address} on {fact.device} is also another machine's: the kernel gave it up", "give one of the two another address")
    elif claimed := _claimed(machine, address, fact):
        yield fail(f"{address} on {fact.device} is also claimed by {', '.join(claimed)}", "give one of the two another address")
    else:
        probed = "" if machine.may_probe or address.version == 6 else " (duplicates are looked for with --probe)"
        yield ok(f"{address} on {fact.device}{probed}")


def _others(machine: Machine, address: IPAddress) -> list[IPAddress]:
    """Addresses of the family that could be used instead."""
    usable = (fact for fact in machine.facts.addresses if fact.is_global and fact.is_stable and fact.address.version == address.version)
    names = {found.name for found in machine.our_devices} | {"lo"}
    bridges = {found.name for found in machine.facts.links if found.kind == "bridge"} - {found.name for found in machine.uplinks}
    return [fact.address for fact in usable if fact.device not in names | bridges and not uplink.is_nat_address(fact.address)]


def _failed_detection(machine: Machine, address: IPAddress) -> bool:
    """IPv6 only: the kernel asked when the address was added."""
    rows = (line.split() for line in (machine.read("/proc/net/if_inet6") or "").splitlines())
    return any(row[0] == address.packed.hex() and int(row[4], 16) & _DAD_FAILED for row in rows if len(row) > 4)


def _claimed(machine: Machine, address: IPAddress, fact: AddressFact) -> tuple[str, ...]:
    device = next((found for found in machine.links if found.name == fact.device), None)
    if not (machine.may_probe and machine.is_root and isinstance(address, IPv4Address) and device is not None and device.mac):
        return ()
    return arp.owners(device.name, address, device.mac)
