"""Turning the node into a router that sends no redirects, and back.

What was off before is written down in the run directory first (it lives as long as the settings do: until
reboot), so that `down` can restore it and a restarted agent still knows that it was us who turned it on.
IPv6 forwarding makes the kernel ignore router advertisements where accept_ra is 1: an uplink that lives by them
would lose its default route, so 1 becomes 2 first.
Written down before the firewall's tables are made, which must know it; turned on only when they stand.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from agent.kernel import sysctl
from agent.kernel.sysctl import Sysctl

_FORWARDING = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
_RECORD = "settings-before.json"


def prepare(run_dir: Path, families: Sequence[int], uplinks: Sequence[str]) -> tuple[Sysctl, ...]:
    """The settings that make the node a router for the families, in their order, and what they were on record."""
    wanted = [Sysctl(_FORWARDING[family], "1") for family in families]
    if 4 in families:
        wanted.insert(0, Sysctl("net/ipv4/conf/all/send_redirects", "0"))
    if 6 in families:
        known = load(run_dir)
        keep = (f"net/ipv6/conf/{name}/accept_ra" for name in uplinks)
        wanted = [Sysctl(name, "2") for name in keep if name in known or sysctl.read(name) == "1"] + wanted
    note(run_dir, wanted)
    return tuple(wanted)


def note(run_dir: Path, wanted: Sequence[Sysctl]) -> tuple[Sysctl, ...]:
    """Those that are not as wanted, after it was written down what they are. The oldest record of a setting stays."""
    found = [(setting, sysctl.read(setting.name)) for setting in wanted]
    changes = {setting: value for setting, value in found if value is not None and value != setting.value}
    before = load(run_dir)
    if any(setting.name not in before for setting in changes):
        _save(run_dir, {**{setting.name: value for setting, value in changes.items()}, **before})
    return tuple(changes)


def turned_on(run_dir: Path, families: Sequence[int]) -> tuple[int, ...]:
    """The families for which it is, or was before, the agent who turns forwarding on."""
    before = load(run_dir)
    return tuple(family for family in families if _FORWARDING[family] in before)


def restore(run_dir: Path) -> None:
    """Put back what was changed; forwarding first, router advertisements last."""
    for name, value in sorted(load(run_dir).items(), key=lambda item: item[0] not in _FORWARDING.values()):
        sysctl.ensure(Sysctl(name, value, is_optional=True))
    (run_dir / _RECORD).unlink(missing_ok=True)


def load(run_dir: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads((run_dir / _RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def _save(run_dir: Path, before: dict[str, str]) -> None:
    half = run_dir / f".{_RECORD}"
    half.write_text(json.dumps(before), encoding="utf-8")
    os.replace(half, run_dir / _RECORD)
