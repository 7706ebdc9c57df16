"""Other tools' firewalls that drop pods' packets, and rules left in the old iptables beside nftables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

from agent.cli.checks.machine import Machine
from agent.cli.checks.registry import Finding, check, fail, ok, warn
from agent.config import ForeignFirewall, Mode
from agent.errors import PodwrightError
from agent.kernel import foreign_rules
from agent.kernel.foreign_rules import Iptables
from agent.network import foreign
from agent.network.foreign import Obstacle, Path
from agent.network.node import POD_LINK_PREFIX

_GROUP = "other tools"


@check(_GROUP, "forwarding firewall")
def forwarding(machine: Machine) -> Iterator[Finding]:
    if not machine.is_root:
        yield warn("only root can list firewall rules", "sudo podwright doctor")
        return
    path = _path(machine)
    with closing(foreign_rules.open_reader()) as reader:
        contents = foreign.read(reader)
    found = [*foreign.obstacles(contents, path), *_legacy_obstacles(path)]
    yield from (fail(str(obstacle), cure(obstacle, path)) for obstacle in _merged(found))
    if not found:
        others = f" ({', '.join(str(content.table) for content in contents)})" if contents else ""
        yield ok(f"no other tool drops what pods send and get{others}")


def _path(machine: Machine) -> Path:
    """Any name stands for all pod devices: rules that tell them apart are not what this looks for."""
    device = machine.config.network.bridge if machine.mode is Mode.BRIDGE else f"{POD_LINK_PREFIX}0"
    names = [found.name for found in machine.uplinks]
    return Path(device, names[0] if names else "uplink", machine.families)


def _legacy_obstacles(path: Path) -> Iterator[Obstacle]:
    for family in foreign_rules.legacy_families():
        if family in path.families:
            yield from foreign.legacy_obstacles(Iptables(family, is_legacy=True).list_(), path, family)


def _merged(found: Sequence[Obstacle]) -> list[Obstacle]:
    """One finding for a chain that drops both ways is enough."""
    return list({(one.where, one.family): one for one in reversed(found)}.values())[::-1]


def cure(obstacle: Obstacle, path: Path) -> str:
    if obstacle.tool is not ForeignFirewall.NONE:
        return f"podwright agent --firewall {obstacle.tool}, or network.firewall: {obstacle.tool} in the configuration file"
    device = path.pod_device if not path.pod_device.startswith(POD_LINK_PREFIX) else f"{POD_LINK_PREFIX}*"
    return f'before the drop, accept what has iifname "{device}" or oifname "{device}"'


@check(_GROUP, "legacy iptables")
def legacy(machine: Machine) -> Iterator[Finding]:
    """Both are asked for every packet, and `iptables` shows only one of them."""
    names = {
        family: (machine.read(f"/proc/net/{file}") or "").split() for family, file in ((4, "ip_tables_names"), (6, "ip6_tables_names"))
    }
    used = [f"IPv{family} {', '.join(tables)}" for family, tables in names.items() if tables]
    if not used:
        yield ok("not in use")
        return
    count = _rules_in_legacy() if machine.is_root else None
    if count == 0:
        yield ok(f"loaded but empty ({'; '.join(used)})")
    else:
        yield warn(
            f"has tables beside nftables ({'; '.join(used)}): rules in both count for every packet, and `iptables` shows one kind",
            "iptables-legacy-save; move what is needed to nftables, then iptables-legacy -F and reboot",
        )


def _rules_in_legacy() -> int | None:
    try:
        lists = [Iptables(family, is_legacy=True).list_() for family in foreign_rules.legacy_families()]
    except PodwrightError:
        return None  # without its command nobody can say
    return sum(line.startswith("-A ") or line.endswith(" DROP") for lines in lists for line in lines)
