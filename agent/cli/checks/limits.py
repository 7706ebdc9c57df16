"""Tables and counters of the kernel that fill up as pods come: connections, neighbours, processes, files, watches."""

from __future__ import annotations

from collections.abc import Iterator

from agent.cli.checks.machine import Machine
from agent.cli.checks.registry import Finding, check, fail, ok, warn

_GROUP = "limits"
_NEARLY, _ALMOST_GONE = 0.8, 0.95
_TABLES = {4: ("arp_cache", "net/ipv4/neigh/default/gc_thresh3"), 6: ("ndisc_cache", "net/ipv6/neigh/default/gc_thresh3")}
_LEAST_INSTANCES, _LEAST_WATCHES = 512, 65536


def _share(used: int, most: int, what: str, cure: str) -> Finding:
    if most and used >= _ALMOST_GONE * most:
        return fail(f"{used} of {most} {what} are in use", cure)
    if most and used >= _NEARLY * most:
        return warn(f"{used} of {most} {what} are in use", cure)
    return ok(f"{used} of {most} {what} are in use")


@check(_GROUP, "connections")
def connections(machine: Machine) -> Iterator[Finding]:
    used, most = (machine.number(f"net/netfilter/nf_conntrack_{name}") for name in ("count", "max"))
    if used is None or most is None:
        yield ok("connection tracking is not loaded yet")
    else:
        yield _share(used, most, "tracked connections", f"sysctl -w net.netfilter.nf_conntrack_max={most * 4}")


@check(_GROUP, "neighbours")
def neighbours(machine: Machine) -> Iterator[Finding]:
    """One table for all namespaces, so pods' entries count; the kernel counts how often it was full."""
    for family, (file, limit) in _TABLES.items():
        rows = [line.split() for line in (machine.read(f"/proc/net/stat/{file}") or "").splitlines()]
        most = machine.number(limit)
        if len(rows) < 2 or most is None or "table_fulls" not in rows[0]:
            continue
        refused = sum(int(row[rows[0].index("table_fulls")], 16) for row in rows[1:])
        cure = f"sysctl -w {limit}={most * 4}"
        if refused:
            yield fail(f"the IPv{family} neighbour table overflowed {refused} times since boot: packets were lost", cure)
        else:
            yield ok(f"the IPv{family} neighbour table ({most}) never overflowed")


@check(_GROUP, "processes")
def processes(machine: Machine) -> Iterator[Finding]:
    load = (machine.read("/proc/loadavg") or "").split()
    if len(load) < 4 or "/" not in load[3]:
        return
    used = int(load[3].partition("/")[2])
    limits = {name: most for name in ("pid_max", "threads-max") if (most := machine.number(f"kernel/{name}")) is not None}
    if limits:
        name = min(limits, key=lambda each: limits[each])
        yield _share(used, limits[name], "processes and threads", f"sysctl -w kernel.{name}={limits[name] * 4}")


@check(_GROUP, "open files")
def open_files(machine: Machine) -> Iterator[Finding]:
    numbers = (machine.setting("fs/file-nr") or "").split()
    if len(numbers) == 3:
        yield _share(int(numbers[0]), int(numbers[2]), "open files", f"sysctl -w fs.file-max={int(numbers[2]) * 4}")


@check(_GROUP, "file watches")
def file_watches(machine: Machine) -> Iterator[Finding]:
    """Per user, and programs of all pods are often the same user."""
    wanted = {"max_user_instances": _LEAST_INSTANCES, "max_user_watches": _LEAST_WATCHES}
    low = {name: least for name, least in wanted.items() if (machine.number(f"fs/inotify/{name}") or least) < least}
    for name, least in low.items():
        message = (
            f"fs.inotify.{name} is {machine.number(f'fs/inotify/{name}')}: programs of many pods share it and fail with EMFILE or ENOSPC"
        )
        yield warn(message, f"sysctl -w fs.inotify.{name}={least}")
    if not low:
        yield ok("inotify limits suit many pods")
