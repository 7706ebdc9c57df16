"""Programs that configure every link they see: they must leave ours alone, and our MAC addresses as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agent.cli.checks.machine import Machine
from agent.cli.checks.registry import Finding, check, fail, ok, warn
from agent.network.node import GATEWAY_MAC, POD_LINK_PREFIX, SHAPER_LINK_PREFIX

_GROUP = "other tools"
_SET_BY_US = 3
"""NET_ADDR_SET: the creator named the MAC, so udev's MacAddressPolicy keeps away from it."""


@check(_GROUP, "systemd-networkd")
def networkd(machine: Machine) -> Iterator[Finding]:
    managed = []
    for device in machine.our_devices:
        state = machine.read(f"/run/systemd/netif/links/{device.index}") or ""
        if re.search(r"^ADMIN_STATE=(?!unmanaged|unknown)", state, re.MULTILINE):
            managed.append(device.name)
    if managed:
        names = f"{machine.config.network.bridge} {POD_LINK_PREFIX}* {SHAPER_LINK_PREFIX}*"
        snippet = f"[Match]\nName={names}\n[Link]\nUnmanaged=yes"
        yield fail(
            f"manages {_some(managed)} and may take their addresses and routes", _file("/etc/systemd/network/05-podwright.network", snippet)
        )
    else:
        yield ok("manages none of our links")


@check(_GROUP, "NetworkManager")
def network_manager(machine: Machine) -> Iterator[Finding]:
    devices = machine.our_devices
    managed = [
        found.name for found in devices if "managed=true" in (machine.read(f"/run/NetworkManager/devices/{found.index}") or "").split()
    ]
    if managed:
        names = (machine.config.network.bridge, f"{POD_LINK_PREFIX}*", f"{SHAPER_LINK_PREFIX}*")
        snippet = "[keyfile]\nunmanaged-devices=" + ";".join(f"interface-name:{name}" for name in names)
        yield fail(
            f"manages {_some(managed)} and may take their addresses and routes", _file("/etc/NetworkManager/conf.d/podwright.conf", snippet)
        )
    else:
        yield ok("manages none of our links")


def _file(path: str, text: str) -> str:
    indented = "\n".join(f"    {line}" for line in text.splitlines())
    return f"write {path}, then restart that service:\n{indented}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


@check(_GROUP, "MAC addresses")
def mac_addresses(machine: Machine) -> Iterator[Finding]:
    """Pods know their gateway by its MAC for ever; udev's default policy rewrites those that no one chose."""
    bridge = machine.bridge
    if bridge is None:
        yield ok("each is chosen at creation; no bridge is there now")
        return
    kind = machine.read(f"/sys/class/net/{bridge.name}/addr_assign_type")
    cure = _file("/etc/systemd/network/05-podwright.link", f"[Match]\nOriginalName={bridge.name}\n[Link]\nMACAddressPolicy=none")
    if bridge.mac != GATEWAY_MAC:
        yield fail(f"{bridge.name} has {bridge.mac}, pods know it as {GATEWAY_MAC}: another program changed it", cure)
    elif kind not in (None, str(_SET_BY_US)):
        yield warn(f"{bridge.name} has a MAC that udev may replace (addr_assign_type {kind})", cure)
    else:
        yield ok(f"{bridge.name} has the one that pods know")
