"""Deletes and re-owns directory trees that pods have written, without ever leaving them.

A pod may have put anything there: links, deep nests, directories that are moved while we walk, and somebody may have
mounted something inside. So every step is by descriptor, no link is followed, and the kernel refuses to step onto
another mount (RESOLVE_NO_XDEV): then nothing behind it is touched, and the caller hears of it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import InUse, InvalidObject, KernelError
from agent.kernel import libc
from agent.killpoint import reach

_STAY = libc.RESOLVE_BENEATH | libc.RESOLVE_NO_SYMLINKS | libc.RESOLVE_NO_MAGICLINKS | libc.RESOLVE_NO_XDEV
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_DEEPEST_GIVEN = 256
_DEEPEST = 64
"""What is nested deeper is moved up and deleted from there: descriptors are few, and so is our stack."""


def remove(path: Path) -> None:
    """The file, link or directory at `path` with everything in it. Absent is fine. Raises InUse at a mount."""
    reach(f"rm before {path}")
    try:
        parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if _unlinked(parent, path.name):
            return
        with _entered(parent, path.name, path) as top:
            while names := _names(top):  # again: what was moved up comes to lie here
                for name in names:
                    _remove_entry(top, name, top, path, 1)
        os.rmdir(path.name, dir_fd=parent)
    except FileNotFoundError:
        pass
    finally:
        os.close(parent)
    reach(f"rm after {path}")


def _remove_entry(parent: int, name: str, top: int, path: Path, depth: int) -> None:
    if _unlinked(parent, name):
        return
    if depth >= _DEEPEST:
        moved = f".deep-{os.stat(name, dir_fd=parent, follow_symlinks=False).st_ino}"
        os.rename(name, moved, src_dir_fd=parent, dst_dir_fd=top)
        return
    with _entered(parent, name, path) as directory:
        for inner in _names(directory):
            _remove_entry(directory, inner, top, path, depth + 1)
    os.rmdir(name, dir_fd=parent)


def set_group(path: Path, gid: int, *, read_only: bool = False, only_if_root_differs: bool = False) -> bool:
    """Give everything to the group, readable and (unless `read_only`) writable for it, new files too. The root comes last: what it
    says holds for all, so a walk that was cut short is done again. Returns whether there was anything to do."""
    with _opened(path) as root:
        if only_if_root_differs and _belongs(os.fstat(root), gid, read_only):
            return False
        _set_below(root, gid, read_only)
        _give(root, os.fstat(root), gid, read_only)
    return True


def _set_below(directory: int, gid: int, read_only: bool, depth: int = 0) -> None:
    if depth > _DEEPEST_GIVEN:
        raise InvalidObject(f"directories are nested deeper than {_DEEPEST_GIVEN}", hint="set fsGroupChangePolicy: OnRootMismatch")
    for name in _names(directory):
        try:
            fd = libc.openat2(directory, name, os.O_PATH | os.O_NOFOLLOW, resolve=_STAY & ~libc.RESOLVE_NO_SYMLINKS)
        except KernelError as error:
            if error.errno in (errno.ENOENT, errno.EXDEV):  # gone, or another's mount
                continue
            raise
        try:
            found = os.fstat(fd)
            if stat.S_ISDIR(found.st_mode):
                inner = libc.openat2(directory, name, _DIRECTORY, resolve=_STAY)
                try:
                    _set_below(inner, gid, read_only, depth + 1)
                finally:
                    os.close(inner)
            _give(fd, found, gid, read_only)
        finally:
            os.close(fd)


def _give(fd: int, found: os.stat_result, gid: int, read_only: bool) -> None:
    """By descriptor. Links are left: nobody asks for theirs. chown takes setuid bits away, as it should."""
    place = f"/proc/self/fd/{fd}"
    if stat.S_ISLNK(found.st_mode):
        return
    if found.st_gid != gid:
        os.chown(place, -1, gid)
    wanted = _mode(found, read_only)
    if wanted != stat.S_IMODE(found.st_mode) or found.st_gid != gid:
        os.chmod(place, wanted)


def _mode(found: os.stat_result, read_only: bool) -> int:
    added = 0o440 if read_only else 0o660
    if stat.S_ISDIR(found.st_mode):
        added |= 0o2110
    return stat.S_IMODE(found.st_mode) | added


def _belongs(found: os.stat_result, gid: int, read_only: bool) -> bool:
    return found.st_gid == gid and _mode(found, read_only) == stat.S_IMODE(found.st_mode)


def _unlinked(parent: int, name: str) -> bool:
    """False: it is a directory."""
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.EPERM):
            return False
        if error.errno == errno.EBUSY:
            raise InUse(f"{name} is a mount point: nothing behind it is deleted") from None
        raise
    return True


@contextmanager
def _entered(parent: int, name: str, path: Path) -> Iterator[int]:
    try:
        fd = libc.openat2(parent, name, _DIRECTORY, resolve=_STAY)
    except KernelError as error:
        if error.errno == errno.EXDEV:
            raise InUse(f"something is mounted at {name} in {path}: nothing behind it is deleted") from None
        if error.errno == errno.ENOENT:
            raise FileNotFoundError(name) from None
        raise
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = os.open(path, _DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _names(directory: int) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries]
