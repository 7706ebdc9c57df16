"""A cgroup per pod: its limits, its members, its usage; cgroup v1 and v2 behind the same words.

Version 1 has a tree per controller, version 2 one for all; a machine may have both, and then the controllers we need
decide. A `Layout` maps each controller to the directory its groups live in, so only file names and units differ.
Groups are made at the top of each tree as `podwright/NAME`. In version 2 a controller must be switched on in every
parent, which the kernel refuses while a non-root parent has processes of its own: ours never has.
Memory that a process used before it joined stays charged where it was.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.errors import KernelError, Unsupported
from agent.kernel.mount import Mount
from agent.kernel.mount import list_ as list_mounts
from agent.killpoint import reach

CONTROLLERS = ("cpu", "cpuacct", "memory", "pids")
"""cpuacct is part of cpu in version 2."""
_MIN_SHARES, _MAX_SHARES = 2, 1 << 18
_PERIOD_US, _MIN_QUOTA_US = 100_000, 1000
_REMOVE_DEADLINE_S = 2.0


@dataclass(frozen=True, slots=True)
class CgroupLimits:
    """None is unlimited. `cpu_shares` is version 1's weight; 1024 is one processor."""

    cpu_shares: int = _MIN_SHARES
    cpu_quota_us: int | None = None
    cpu_period_us: int = _PERIOD_US
    memory_bytes: int | None = None
    pids: int | None = None

    @property
    def cpu_weight(self) -> int:
        """Version 2's weight: its 1 to 10000 laid linearly over the shares."""
        return 1 + (self.cpu_shares - _MIN_SHARES) * 9999 // (_MAX_SHARES - _MIN_SHARES)


@dataclass(frozen=True, slots=True)
class CgroupUsage:
    """`memory_bytes` is the working set: without the page cache that can be dropped at once."""

    cpu_seconds: float
    memory_bytes: int
    pids: int


@dataclass(frozen=True, slots=True)
class Layout:
    version: int
    trees: Mapping[str, Path]
    """The top directory by controller; in version 2 the same for all."""


def limits(*, cpu_request_milli: int, cpu_limit_milli: int | None, memory_limit_bytes: int | None, pids: int | None = None) -> CgroupLimits:
    """Kubernetes' mapping from a pod's amounts to the kernel's units and ranges."""
    return CgroupLimits(
        cpu_shares=min(max(cpu_request_milli * 1024 // 1000, _MIN_SHARES), _MAX_SHARES),
        cpu_quota_us=None if cpu_limit_milli is None else max(cpu_limit_milli * _PERIOD_US // 1000, _MIN_QUOTA_US),
        memory_bytes=memory_limit_bytes,
        pids=pids,
    )


def detect(mounts: Sequence[Mount] | None = None) -> Layout:
    """Where this machine's controllers are."""
    found = list_mounts() if mounts is None else mounts
    v1 = {name: Path(m.target) for m in found if m.fstype == "cgroup" for name in CONTROLLERS if name in m.super_options}
    if all(name in v1 for name in CONTROLLERS):
        return Layout(1, v1)
    for mount in found:
        if mount.fstype == "cgroup2" and {"cpu", "memory", "pids"} <= set(_read(Path(mount.target, "cgroup.controllers")).split()):
            return Layout(2, dict.fromkeys(CONTROLLERS, Path(mount.target)))
    missing = ", ".join(name for name in CONTROLLERS if name not in v1)
    raise Unsupported(
        f"cannot limit pods: no cgroup controller {missing}", hint="mount cgroup2 at /sys/fs/cgroup or enable the controllers"
    )


class Cgroups:
    """The groups of one owner ("podwright") in all trees."""

    def __init__(self, layout: Layout, parent: str = "podwright") -> None:
        self._version = layout.version
        self._parents = {controller: tree / parent for controller, tree in layout.trees.items()}
        self._trees = tuple(dict.fromkeys(self._parents.values()))
        """Each once: version 2 has one; version 1 may mount cpu and cpuacct together."""
        self._is_prepared = False

    def ensure_(self, name: str, wanted: CgroupLimits) -> None:
        """The group with exactly these limits. A new one has none, and is only told what differs from that."""
        if not self._is_prepared:
            self._prepare()
        try:
            fresh = {tree for tree in self._trees if make_directory(f"{tree}/{name}")}
        except FileNotFoundError:  # somebody removed our parent
            self._prepare()
            fresh = {tree for tree in self._trees if make_directory(f"{tree}/{name}")}
        for (controller, file), value in _settings(self._version, wanted).items():
            tree = self._parents[controller]
            if tree not in fresh or value != _UNLIMITED.get(file):
                write(f"{tree}/{name}/{file}", value)

    def _prepare(self) -> None:
        for tree in self._trees:
            _make_parent(tree)
        self._is_prepared = True

    def remove_(self, name: str) -> None:
        """Kills nothing. Processes that are ending still count for a moment: waited for; any other is an error."""
        deadline = time.monotonic() + _REMOVE_DEADLINE_S
        for directory in self._directories(name):
            remove_directory(directory, deadline)

    def list_(self) -> tuple[str, ...]:
        names = {entry.name for tree in self._trees if tree.is_dir() for entry in tree.iterdir() if entry.is_dir()}
        return tuple(sorted(names))

    def remove_parent(self) -> None:
        """For tear-down, when no group is left."""
        for tree in self._trees:
            remove_directory(tree, time.monotonic())
        self._is_prepared = False

    def join_files(self, name: str) -> tuple[Path, ...]:
        """A process joins by writing its number, or 0 for itself, into each of them."""
        return tuple(directory / "cgroup.procs" for directory in self._directories(name))

    def processes(self, name: str) -> tuple[int, ...]:
        """Members that have a number here; one of an outer process namespace has none, and reads 0."""
        return tuple(int(pid) for pid in _read(self._file(name, "pids", "cgroup.procs")).split() if pid != "0")

    def usage(self, name: str) -> CgroupUsage:
        stat = _numbers(self._file(name, "memory", "memory.stat"))
        if self._version == 1:
            cpu = _number(self._file(name, "cpuacct", "cpuacct.usage")) / 1e9
            memory = _number(self._file(name, "memory", "memory.usage_in_bytes")) - stat.get("total_inactive_file", 0)
        else:
            cpu = _numbers(self._file(name, "cpu", "cpu.stat")).get("usage_usec", 0) / 1e6
            memory = _number(self._file(name, "memory", "memory.current")) - stat.get("inactive_file", 0)
        return CgroupUsage(cpu, max(memory, 0), _number(self._file(name, "pids", "pids.current")))

    def _directories(self, name: str) -> tuple[Path, ...]:
        return tuple(tree / name for tree in self._trees)

    def _file(self, name: str, controller: str, file: str) -> Path:
        return self._parents[controller] / name / file


_UNLIMITED = {
    "cpu.cfs_period_us": str(_PERIOD_US),
    "cpu.cfs_quota_us": "-1",
    "memory.limit_in_bytes": "-1",
    "cpu.max": f"max {_PERIOD_US}",
    "memory.max": "max",
    "pids.max": "max",
}
"""What the kernel gives a new group. (Its weights are not ours: theirs are always written.)"""


def _settings(version: int, wanted: CgroupLimits) -> dict[tuple[str, str], str]:
    """By controller and file, in the order in which they are written."""
    if version == 1:
        return {
            ("cpu", "cpu.shares"): str(wanted.cpu_shares),
            ("cpu", "cpu.cfs_period_us"): str(wanted.cpu_period_us),
            ("cpu", "cpu.cfs_quota_us"): _or(wanted.cpu_quota_us, "-1"),
            ("memory", "memory.limit_in_bytes"): _or(wanted.memory_bytes, "-1"),
            ("pids", "pids.max"): _or(wanted.pids, "max"),
        }
    return {
        ("cpu", "cpu.weight"): str(wanted.cpu_weight),
        ("cpu", "cpu.max"): f"{_or(wanted.cpu_quota_us, 'max')} {wanted.cpu_period_us}",
        ("memory", "memory.max"): _or(wanted.memory_bytes, "max"),
        ("pids", "pids.max"): _or(wanted.pids, "max"),
    }


def _or(value: int | None, unlimited: str) -> str:
    return unlimited if value is None else str(value)


def _make_parent(tree: Path) -> None:
    """With the controllers switched on on the way (version 2; version 1 has no such file)."""
    for parent in (tree.parent, tree):
        parent.mkdir(exist_ok=True)
        switches = parent / "cgroup.subtree_control"
        if switches.exists() and not {"cpu", "memory", "pids"} <= set(_read(switches).split()):
            write(str(switches), "+cpu +memory +pids")


def make_directory(directory: str) -> bool:
    """False: it was there."""
    reach(f"mkdir before {directory}")
    try:
        os.mkdir(directory)
    except FileExistsError:
        return False
    reach(f"mkdir after {directory}")
    return True


def deadline() -> float:
    """Until when processes that are ending are waited for."""
    return time.monotonic() + _REMOVE_DEADLINE_S


def remove_directory(directory: Path, deadline: float) -> None:
    reach(f"rmdir before {directory}")
    while True:
        try:
            directory.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() >= deadline:
                raise KernelError(error.errno or errno.EIO, f"rmdir {directory}", "processes are left in it") from None
            time.sleep(0.005)
        else:
            reach(f"rmdir after {directory}")
            return


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return ""
        raise KernelError(error.errno or errno.EIO, f"cat {file}") from None


def write(file: str, value: str) -> None:
    reach(f"cgroup before {file}")
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)
    except OSError as error:
        raise KernelError(error.errno or errno.EIO, f"echo {value} > {file}") from None
    reach(f"cgroup after {file}")


def _number(file: Path) -> int:
    text = _read(file).strip()
    return int(text) if text.isdigit() else 0


def _numbers(file: Path) -> dict[str, int]:
    """A file of "name value" lines."""
    return {name: int(value) for name, value in (line.split() for line in _read(file).splitlines())}
