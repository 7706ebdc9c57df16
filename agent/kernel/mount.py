"""Mounts of the mount namespace we live in: list, and ensure or remove one at a path.

The kernel's list, /proc/thread-self/mountinfo, is the only truth; nothing is remembered here. Several mounts may
be stacked on one path: only the topmost can be reached, so it is the one that `find` gives. The kernel follows
symbolic links and the list names real paths, so the `ensure` verbs resolve theirs first.
Removal is lazy (MNT_DETACH): a process that still uses the mount keeps it, nobody else sees it any more.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from agent.errors import KernelError
from agent.kernel import libc

_OCTAL = re.compile(r"\\([0-7]{3})")


class Propagation(Enum):
    """Which mount events pass between a mount and its copies in other mount namespaces."""

    PRIVATE = libc.MS_PRIVATE
    SLAVE = libc.MS_SLAVE
    SHARED = libc.MS_SHARED
    UNBINDABLE = libc.MS_UNBINDABLE


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo. `root` is the part of the file system that is shown; `device` is its "major:minor"."""

    id: int
    parent_id: int
    device: str
    root: str
    target: str
    options: tuple[str, ...]
    propagation: tuple[str, ...]
    fstype: str
    source: str
    super_options: tuple[str, ...]

    @property
    def is_read_only(self) -> bool:
        return "ro" in self.options


def parse(text: str) -> tuple[Mount, ...]:
    return tuple(_parse_line(line) for line in text.splitlines())


def list_(mountinfo: Path = Path("/proc/thread-self/mountinfo")) -> tuple[Mount, ...]:
    return parse(mountinfo.read_text(encoding="utf-8", errors="surrogateescape"))


def find(target: Path, mounts: Sequence[Mount] | None = None) -> Mount | None:
    """The topmost mount exactly at `target`."""
    wanted = str(target)
    for mount in reversed(list_() if mounts is None else mounts):
        if mount.target == wanted:
            return mount
    return None


def is_mount_point(target: Path) -> bool:
    """Whether something is mounted exactly there; quick however many mounts there are. Absent is False."""
    try:
        parent = os.open(target.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        os.close(libc.openat2(parent, target.name, os.O_PATH | os.O_NOFOLLOW, resolve=libc.RESOLVE_NO_XDEV))
    except KernelError as error:
        if error.errno not in (errno.EXDEV, errno.ENOENT):
            raise
        return error.errno == errno.EXDEV
    finally:
        os.close(parent)
    return False


def below(directory: Path, mounts: Sequence[Mount] | None = None) -> tuple[Path, ...]:
    """Where something is mounted inside of `directory`, the last mounted first."""
    prefix = f"{directory.resolve()}/"
    found = list_() if mounts is None else mounts
    return tuple(dict.fromkeys(Path(mount.target) for mount in reversed(found) if mount.target.startswith(prefix)))


def mount_device(device: str, target: Path, fstype: str, *, flags: int = 0, data: str = "") -> None:
    """The file system on a block device."""
    libc.mount(device, str(target), fstype, flags, data)


def move_part(directory: Path, target: Path) -> None:
    """Show `directory`, which is inside of some mount, at `target`; at no moment anything else is seen there."""
    fd = libc.open_tree(str(directory), clone=True)
    try:
        libc.move_mount(fd, str(target))
    finally:
        os.close(fd)


def ensure_tmpfs(target: Path, *, data: str = "mode=0755", flags: int = libc.MS_NOSUID | libc.MS_NODEV) -> None:
    """A tmpfs at `target`, private; one that is there already is kept as it is."""
    target.mkdir(parents=True, exist_ok=True)
    target = target.resolve()
    found = find(target)
    if found is None or found.fstype != "tmpfs":
        libc.mount("podwright", str(target), "tmpfs", flags, data)
        set_propagation(target, Propagation.PRIVATE)
    elif found.propagation:
        set_propagation(target, Propagation.PRIVATE)


def ensure_bind(source: Path, target: Path, *, read_only: bool = False, recursive: bool = False) -> None:
    """`source` shown at `target` (both must exist; a file on a file or a directory on a directory)."""
    target = target.resolve()
    found = find(target)
    if found is None or not target.samefile(source):
        libc.mount(str(source), str(target), "", libc.MS_BIND | (libc.MS_REC if recursive else 0))
        found = None
    if found is None or found.is_read_only != read_only:
        set_read_only(target, read_only, recursive=recursive)


def set_read_only(target: Path, read_only: bool, *, recursive: bool = False) -> None:
    """For this mount only, not for the file system it shows. Keeps nosuid, nodev, atime rules as they are."""
    bit = libc.MOUNT_ATTR_RDONLY
    libc.mount_setattr(str(target), recursive=recursive, attributes=bit if read_only else 0, clear=0 if read_only else bit)


def set_propagation(target: Path, propagation: Propagation, *, recursive: bool = False) -> None:
    libc.mount("", str(target), "", propagation.value | (libc.MS_REC if recursive else 0))


def remove_(target: Path) -> None:
    """Every mount stacked at `target`; none is fine, and so is a `target` that does not exist."""
    while True:
        try:
            libc.umount(str(target), libc.MNT_DETACH | libc.UMOUNT_NOFOLLOW)
        except KernelError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                return
            raise


def _parse_line(line: str) -> Mount:
    before, _, after = line.partition(" - ")
    id_, parent, device, root, target, options, *propagation = before.split(" ")
    fstype, source, super_options = after.split(" ", 2)
    return Mount(
        id=int(id_),
        parent_id=int(parent),
        device=device,
        root=_unescape(root),
        target=_unescape(target),
        options=tuple(options.split(",")),
        propagation=tuple(propagation),
        fstype=fstype,
        source=_unescape(source),
        super_options=tuple(super_options.split(",")),
    )


def _unescape(text: str) -> str:
    """The kernel writes space, tab, newline and backslash as three octal digits."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text) if "\\" in text else text
