"""What the node has and what it uses: processors, memory, load, processes. psutil reads it.

Capacity is the machine's, not that of the cgroup the agent runs in. CPU usage is a counter (seconds of work since
boot): a rate is made by whoever reads it twice, so that two readers do not disturb each other.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class NodeCapacity:
    cpus: int
    memory_bytes: int
    pids: int


@dataclass(frozen=True, slots=True)
class NodeUsage:
    """`cpu_seconds` since boot, idle time excluded; `memory_bytes` that cannot be reclaimed without swapping."""

    cpu_seconds: float
    memory_bytes: int
    load_1m: float
    processes: int
    boot_time: float


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    kernel: str
    architecture: str
    os_image: str
    boot_id: str
    machine_id: str


def capacity() -> NodeCapacity:
    pid_max = int(Path("/proc/sys/kernel/pid_max").read_text(encoding="ascii"))
    return NodeCapacity(cpus=psutil.cpu_count() or 1, memory_bytes=psutil.virtual_memory().total, pids=pid_max)


def usage() -> NodeUsage:
    times = psutil.cpu_times()
    memory = psutil.virtual_memory()
    busy = sum(times) - times.idle - times.iowait - times.guest - times.guest_nice
    return NodeUsage(
        cpu_seconds=busy,
        memory_bytes=memory.total - memory.available,
        load_1m=os.getloadavg()[0],
        processes=len(psutil.pids()),
        boot_time=psutil.boot_time(),
    )


def resident_bytes() -> int:
    """Of this process."""
    return int(psutil.Process().memory_info().rss)


def node_identity() -> NodeIdentity:
    return NodeIdentity(
        kernel=platform.release(),
        architecture=platform.machine(),
        os_image=_os_image(),
        boot_id=boot_id(),
        machine_id=_first_line(Path("/etc/machine-id")),
    )


def boot_id() -> str:
    """Changes with every boot: what is recorded with another one is gone from the kernel."""
    return _first_line(Path("/proc/sys/kernel/random/boot_id"))


def _os_image() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"


def _first_line(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError:
        return ""
