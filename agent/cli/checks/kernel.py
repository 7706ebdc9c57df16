"""What the kernel must be able to do, tried out where nothing else sees it; and what root may do here."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from agent.cli.checks.machine import Machine
from agent.cli.checks.registry import Finding, check, fail, ok, warn
from agent.config import Mode
from agent.errors import Unsupported
from agent.kernel import cgroup, probe
from agent.kernel.libc import CAPABILITIES
from agent.kernel.nft import Chain, Hook, Ruleset
from agent.network import firewall, node
from agent.network.firewall.tables import NETDEV

_GROUP = "kernel"
_LEAST_KERNEL = (5, 10)
_NEEDED = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID", "SETPCAP", "NET_ADMIN", "NET_RAW", "SYS_CHROOT", "SYS_ADMIN")
_LINKS = {"veth": "pods have no interface", "bridge": "network.mode bridge does not work"}
_NAMESPACES = ("net", "mnt", "uts", "ipc", "pid")
_LEAST_NAMESPACES = 1024


@check(_GROUP, "version")
def version(machine: Machine) -> Iterator[Finding]:
    release = machine.setting("kernel/osrelease") or ""
    numbers = tuple(map(int, re.findall(r"\d+", release)[:2]))
    if numbers >= _LEAST_KERNEL:
        yield ok(f"Linux {release}")
    else:
        yield fail(f"Linux {release} is older than {_LEAST_KERNEL[0]}.{_LEAST_KERNEL[1]}", "boot a newer kernel")


@check(_GROUP, "capabilities")
def capabilities(machine: Machine) -> Iterator[Finding]:
    """A container's root, or a service with CapabilityBoundingSet, has less than root."""
    if not machine.is_root:
        return
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", machine.read("/proc/self/status") or "", re.MULTILINE)
    held = int(found[1], 16) if found else 0
    missing = [name for name in _NEEDED if not held >> CAPABILITIES.index(name) & 1]
    cure = "give the agent's service or container these capabilities"
    if missing:
        yield fail(f"root lacks {', '.join(f'CAP_{name}' for name in missing)}", cure)
    if not held >> CAPABILITIES.index("SYS_RESOURCE") & 1:
        yield warn("root lacks CAP_SYS_RESOURCE: limits of open files and mounts cannot be raised", cure)
    elif not missing:
        yield ok(f"root has what the agent needs ({len(_NEEDED)} capabilities)")


@check(_GROUP, "links")
def links(machine: Machine) -> Iterator[Finding]:
    if not machine.is_root:
        return
    refused = probe.links((*_LINKS, *(() if probe.has_module("ifb") else ("ifb",))))
    for kind, consequence in _LINKS.items():
        if refused[kind]:
            yield fail(f"no {kind} links, {consequence}: {refused[kind]}", f"modprobe {kind}")
    shaping = refused.get("ifb") or probe.shaping()
    if shaping:
        yield warn(f"bandwidth limits of pods do not work: {shaping}", "modprobe ifb sch_tbf")
    if not any(refused.values()) and not shaping:
        yield ok("veth, bridge, ifb and token buckets can be made")


@check(_GROUP, "nftables")
def nftables(machine: Machine) -> Iterator[Finding]:
    """The very tables that the agent makes, not a list of features that they may need."""
    if not machine.is_root:
        return
    refused = probe.rulesets({mode.value: _ruleset(machine, mode) for mode in Mode})
    for mode, refusal in refused.items():
        if refusal:
            level = fail if mode == machine.mode.value else warn
            yield level(
                f"the tables of network.mode {mode} are refused: {refusal}", "modprobe nf_tables nft_ct nft_nat nft_masq nft_fib_inet"
            )
    if not any(refused.values()):
        yield ok("the kernel takes the tables of both network modes (inet, bridge, netdev; concatenated sets, maps, NAT)")
    if not probe.has_destroy():
        yield ok("nftables without DESTROY (kernel < 6.3): tables are listed before something is removed, which is slower")
    if probe.owns_tables():
        yield ok("nftables tables can have an owner: no other program can change ours")
    else:
        yield warn(
            "nftables tables cannot have an owner (kernel < 6.9): `nft flush ruleset` opens a gap until the agent repairs them",
            "boot Linux 6.9 or newer, or see that nothing flushes the ruleset (nftables.service)",
        )


def _ruleset(machine: Machine, mode: Mode) -> tuple[Ruleset, tuple[Chain, ...]]:
    seen = node.from_config(machine.config, mtu=1500, node_ips=(), drop_foreign_forward=(4, 6))
    chain = Chain(NETDEV, "lo", (), Hook("filter", "ingress", -500, "lo"))
    return firewall.skeleton(dataclasses.replace(seen, mode=mode)), (chain,) if mode is Mode.ROUTED else ()


@check(_GROUP, "cgroups")
def cgroups(machine: Machine) -> Iterator[Finding]:
    try:
        layout = cgroup.detect()
    except Unsupported as error:
        yield fail(error.message, error.hint)
        return
    missing = [name for name in cgroup.CONTROLLERS if name not in layout.trees]
    if missing:
        cure = f"boot with cgroup_enable={','.join(missing)}, or mount the cgroup tree"
        yield warn(f"cgroup version {layout.version} without {', '.join(missing)}: these limits of pods do not hold", cure)
    else:
        yield ok(f"cgroup version {layout.version} with {', '.join(layout.trees)}")


@check(_GROUP, "namespaces")
def namespaces(machine: Machine) -> Iterator[Finding]:
    wanted = max(_LEAST_NAMESPACES, 2 * len(machine.pod_links))
    few = {kind: most for kind in _NAMESPACES if (most := machine.number(f"user/max_{kind}_namespaces")) is not None and most < wanted}
    for kind, most in few.items():
        yield (fail if most == 0 else warn)(
            f"at most {most} {kind} namespaces may exist: no more pods than that", f"sysctl -w user.max_{kind}_namespaces={wanted * 4}"
        )
    if not few:
        yield ok("namespaces for every pod")
