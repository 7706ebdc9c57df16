"""What a pod may do to a block device: operations and bytes a second, for reads and for writes each.

Version 2 has io.max in the pod's own group. Version 1 has a tree of its own (blkio), where a group is made only for pods
that have limits; its promise covers direct and synced I/O, not pages that somebody else writes back later.
Rules name the device by its number and outlive what was attached to it, so a group goes with its pod, and each look writes
all of a pod's rules again.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.errors import Unsupported
from agent.kernel import cgroup
from agent.kernel import mount as mounts


@dataclass(frozen=True, slots=True)
class Limit:
    """`device` is "major:minor"; 0 is no limit."""

    device: str
    iops: int = 0
    bytes_per_s: int = 0


def rules(version: int, limit: Limit) -> tuple[tuple[str, str], ...]:
    """Files and what is written into them. Pure."""
    if version == 1:
        return tuple(
            (f"blkio.throttle.{way}_{unit}_device", f"{limit.device} {amount}")
            for unit, amount in (("iops", limit.iops), ("bps", limit.bytes_per_s))
            for way in ("read", "write")
        )
    words = [f"{way}{unit}={amount or 'max'}" for unit, amount in (("iops", limit.iops), ("bps", limit.bytes_per_s)) for way in "rw"]
    return (("io.max", " ".join([limit.device, *words])),)


class IoLimits:
    def __init__(self, parent: str = "podwright") -> None:
        self._version, tree = _find()
        self._parent = tree / parent if tree is not None else None

    def ensure_(self, name: str, limits: Sequence[Limit]) -> None:
        """Exactly these for the devices they name. Raises Unsupported where there is no such controller."""
        if not limits:
            return
        if self._parent is None:
            raise Unsupported("iops and bandwidth cannot be limited: no cgroup controller blkio or io", hint="leave them out of the class")
        if self._version == 2:
            self._switch_on(self._parent)
        self._parent.mkdir(exist_ok=True)
        cgroup.make_directory(str(self._parent / name))
        for limit in limits:
            for file, text in rules(self._version, limit):
                cgroup.write(str(self._parent / name / file), text)

    def join_files(self, name: str) -> tuple[Path, ...]:
        """Beside those of the pod's other limits."""
        if self._version == 2 or self._parent is None or not (self._parent / name).is_dir():
            return ()
        return (self._parent / name / "cgroup.procs",)

    def remove_(self, name: str) -> None:
        """Version 2's goes with the pod's own group."""
        if self._version == 1 and self._parent is not None and (self._parent / name).is_dir():
            cgroup.remove_directory(self._parent / name, cgroup.deadline())

    def remove_parent(self) -> None:
        """For tear-down."""
        if self._version == 1 and self._parent is not None:
            with suppress(FileNotFoundError):
                self._parent.rmdir()

    def _switch_on(self, parent: Path) -> None:
        for directory in (parent.parent, parent):
            directory.mkdir(exist_ok=True)
            if "io" not in (directory / "cgroup.subtree_control").read_text(encoding="ascii").split():
                cgroup.write(str(directory / "cgroup.subtree_control"), "+io")


def _find() -> tuple[int, Path | None]:
    found = mounts.list_()
    for each in found:
        if each.fstype == "cgroup" and "blkio" in each.super_options:
            return 1, Path(each.target)
    for each in found:
        controllers = Path(each.target, "cgroup.controllers")
        if each.fstype == "cgroup2" and controllers.exists() and "io" in controllers.read_text(encoding="ascii").split():
            return 2, Path(each.target)
    return 1, None
