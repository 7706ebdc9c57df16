"""An image attached, mounted once ("staged"), and shown at the paths where it is used ("published").

Every path is judged by the device behind it, never by its name: a directory that is there says nothing (after a reboot it
is an empty directory of the root filesystem, and a pod would write its data there). Showing is a bind mount; done twice it
is done once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.errors import InUse, InvalidObject, NotFound
from agent.kernel import filesystem, libc, loop, mount
from agent.kernel.filesystem import Kind
from agent.kernel.loop import Loop
from agent.volume import tree
from agent.volume.pool import image as images

_FLAGS = {
    "ro": libc.MS_RDONLY,
    "noexec": libc.MS_NOEXEC,
    "nosuid": libc.MS_NOSUID,
    "nodev": libc.MS_NODEV,
    "noatime": libc.MS_NOATIME,
    "nodiratime": libc.MS_NODIRATIME,
    "relatime": libc.MS_RELATIME,
    "sync": libc.MS_SYNCHRONOUS,
}
_OPTIONS = frozenset({"discard", "nodiscard", "barrier=1", "data=ordered", "data=journal", "data=writeback", "lazytime", "inode64"})
_IGNORED = frozenset({"rw", "defaults", "exec", "atime", "suid", "dev", "async"})


@dataclass(frozen=True, slots=True)
class MountOptions:
    flags: int
    data: str


def mount_options(words: Sequence[str]) -> MountOptions:
    """What a class or a request may ask of a mount. Raises InvalidObject for the rest, which root alone may ask."""
    unknown = [word for word in words if word not in _FLAGS and word not in _OPTIONS and word not in _IGNORED]
    if unknown:
        raise InvalidObject(f'mount option "{unknown[0]}" is not offered', hint=f"offered are {', '.join(sorted({*_FLAGS, *_OPTIONS}))}")
    flags = libc.MS_NOSUID | libc.MS_NODEV
    for word in words:
        flags |= _FLAGS.get(word, 0)
    return MountOptions(flags, ",".join(word for word in words if word in _OPTIONS))


def stage(image: Path, target: Path, kind: Kind, options: MountOptions) -> None:
    """The filesystem of the image at `target`, a directory that is there. Staged already is fine."""
    known = loop.find(image)
    if known is not None and is_at(known, target):
        return
    if known is None:
        images.heal(image, kind)
    if mount.is_mount_point(target):
        raise InUse(f"something else is mounted at {target}")
    with loop.attached(image) as device:
        mount.mount_device(device.path, target, kind, flags=options.flags, data=options.data)
    mount.set_propagation(target.resolve(), mount.Propagation.PRIVATE)


def attach(image: Path) -> Loop:
    """A block volume's device; it stays until `detach`."""
    return loop.attach(image)


def unstage(image: Path, target: Path) -> None:
    """Absent is fine. The directory belongs to whoever made it. Raises InUse when something else is mounted there, or a pod
    still has the device: its node would soon be another image's."""
    device = loop.find(image)
    if mount.is_mount_point(target):
        if device is None or not is_at(device, target):
            raise InUse(f"what is mounted at {target} is not this volume: it is left")
        mount.remove_(target)
    if device is not None and (shown := [m.target for m in mount.list_() if m.root == f"/loop{device.number}"]):
        raise InUse(f"the volume's device is still shown at {shown[0]}", hint="unpublish it first")
    loop.detach(image)


def publish(image: Path, staged: Path, target: Path, *, is_read_only: bool) -> None:
    """What is mounted at `staged` shown at `target`, which is made. Raises InUse when that is not our volume."""
    device = loop.find(image)
    if device is None or not is_at(device, staged):
        raise InUse(f"the volume is not staged at {staged}", hint="stage it first")
    target.mkdir(mode=0o750, exist_ok=True)
    if mount.is_mount_point(target) and not is_at(device, target):
        raise InUse(f"something else is mounted at {target}")
    mount.ensure_bind(staged, target, read_only=is_read_only)


def publish_device(image: Path, target: Path, *, is_read_only: bool) -> None:
    """The device node at `target`, which is made a file."""
    device = attach(image)
    if is_block_at(device, target):
        return
    if mount.is_mount_point(target):
        raise InUse(f"something else is mounted at {target}")
    target.touch(mode=0o600, exist_ok=True)
    mount.ensure_bind(Path(device.path), target, read_only=is_read_only)


def unpublish(target: Path, image: Path | None) -> None:
    """Absent is fine. Only an empty directory or a bare file is removed: anything more is not our mount point. `image` is the
    volume's, unless it is gone: what is mounted must be of it."""
    if mount.is_mount_point(target):
        device = loop.find(image) if image is not None else None
        if device is None or not (is_at(device, target) or is_block_at(device, target)):
            raise InUse(f"what is mounted at {target} is not this volume: it is left")
        mount.remove_(target)
    with suppress(FileNotFoundError):
        if target.is_dir() and not target.is_symlink():
            target.rmdir()
        elif target.stat().st_size == 0:
            target.unlink()


def is_at(device: Loop, path: Path) -> bool:
    """Whether the filesystem seen at `path` is on the device."""
    try:
        return os.stat(path).st_dev == device.rdev
    except FileNotFoundError:
        return False


def is_block_at(device: Loop, path: Path) -> bool:
    try:
        return os.stat(path).st_rdev == device.rdev
    except FileNotFoundError:
        return False


def own(path: Path, group: int) -> None:
    """Give the volume's files to a group (CSI's volume_mount_group); unchanged when its root has it already."""
    tree.set_group(path, group, only_if_root_differs=True)


def usage(image: Path, path: Path, *, is_block: bool) -> filesystem.Usage:
    """Of what is at `path`. Raises NotFound when that is not our volume."""
    device = loop.find(image)
    if device is None or not (is_block_at(device, path) if is_block else is_at(device, path)):
        raise NotFound(f"the volume is not at {path}")
    if is_block:
        size = os.stat(image).st_size
        return filesystem.Usage(size, 0, size, 0, 0)
    return filesystem.usage(path)
