"""File systems in image files and on devices: make, check, grow, freeze, trim, and copies that share their blocks.

A file system is made once, by whoever creates the image, and never because something "looks empty". 4096-byte blocks
always (the default of small ext4 is 1024, which a 4096-byte loop refuses), and nothing is discarded while making: that
would give a thick image's blocks back.
`freeze` also flushes; who froze and died is thawed by the next agent, so thawing what is not frozen is fine.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from agent.errors import InvalidObject, KernelError, Unsupported
from agent.kernel import libc
from agent.kernel.run import run
from agent.killpoint import reach

_FIFREEZE, _FITHAW, _FITRIM = 0xC0045877, 0xC0045878, 0xC0185879
_FICLONE = 0x40049409
_COPY_BYTES = 1 << 24
_MKFS_DEADLINE_S, _CHECK_DEADLINE_S = 120.0, 3600.0


class Kind(StrEnum):
    EXT4 = "ext4"
    XFS = "xfs"


@dataclass(frozen=True, slots=True)
class Usage:
    """What statfs says. `available_bytes` is what a user's file may still take."""

    total_bytes: int
    available_bytes: int
    used_bytes: int
    inodes: int
    free_inodes: int


def make(kind: Kind, image: Path, *, uuid: str = "", options: Sequence[str] = ()) -> None:
    """Over whatever is there: callers do this to images that they have just created."""
    if kind is Kind.EXT4:
        own = ["-F", "-q", "-b", "4096", "-m", "0", "-I", "256", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1"]
        run(["mkfs.ext4", *own, *(["-U", uuid] if uuid else []), *options, str(image)], deadline_s=_MKFS_DEADLINE_S)
    else:
        own = ["-q", "-f", "-K", "-b", "size=4096", "-s", "size=4096", *(["-m", f"uuid={uuid}"] if uuid else [])]
        run(["mkfs.xfs", *own, *options, str(image)], deadline_s=_MKFS_DEADLINE_S)


def check(kind: Kind, image: Path) -> None:
    """Look, change nothing. Raises CommandFailed when it is damaged. It must not be mounted."""
    tool = ["e2fsck", "-fn"] if kind is Kind.EXT4 else ["xfs_repair", "-n"]
    run([*tool, str(image)], deadline_s=_CHECK_DEADLINE_S)


def replay(kind: Kind, image: Path) -> None:
    """Finish what an unclean end left (ext4: its journal and what e2fsck may repair without asking; xfs does so at mount)."""
    if kind is Kind.EXT4:
        run(["e2fsck", "-p", str(image)], deadline_s=_CHECK_DEADLINE_S, accept=(0, 1))


def scrub(image: Path) -> None:
    """Make an ext4 without a journal fit for use after an unclean end: everything that e2fsck proposes."""
    run(["e2fsck", "-fy", str(image)], deadline_s=_CHECK_DEADLINE_S, accept=(0, 1))


def set_uuid(kind: Kind, image: Path, uuid: str) -> None:
    """Of a file system that is not mounted and was left clean: two with one identity confuse everybody."""
    if kind is Kind.EXT4:
        run(["e2fsck", "-fp", str(image)], deadline_s=_CHECK_DEADLINE_S, accept=(0, 1))
        run(["tune2fs", "-U", uuid, str(image)], deadline_s=_MKFS_DEADLINE_S)
    else:
        run(["xfs_admin", "-U", uuid, str(image)], deadline_s=_MKFS_DEADLINE_S)


def grow_unmounted(kind: Kind, image: Path) -> None:
    """To the size of its image. xfs grows only while mounted: nothing is done."""
    if kind is Kind.EXT4:
        run(["e2fsck", "-fp", str(image)], deadline_s=_CHECK_DEADLINE_S, accept=(0, 1))
        run(["resize2fs", str(image)], deadline_s=_CHECK_DEADLINE_S)


def grow_mounted(kind: Kind, device: str, target: Path) -> None:
    """To the size of its device. Raises Unsupported where only an unmounted one can grow."""
    if kind is Kind.XFS:
        run(["xfs_growfs", "-d", str(target)], deadline_s=_CHECK_DEADLINE_S)
        return
    if not _may_grow_ext4():
        raise Unsupported("growing a mounted ext4 needs the capability SYS_RESOURCE", hint="it grows when it is mounted the next time")
    run(["resize2fs", device], deadline_s=_CHECK_DEADLINE_S)


def usage(path: int | Path) -> Usage:
    found = os.statvfs(path)
    total, free = found.f_blocks * found.f_frsize, found.f_bfree * found.f_frsize
    return Usage(total, found.f_bavail * found.f_frsize, total - free, found.f_files, found.f_ffree)


@contextmanager
def frozen(target: Path) -> Iterator[None]:
    """Nothing is written to the file system at `target` meanwhile, and all that was is on its device."""
    freeze(target)
    try:
        yield
    finally:
        thaw(target)


def freeze(target: Path) -> None:
    """Frozen already is fine."""
    _on(target, _FIFREEZE, 0, f"fsfreeze --freeze {target}", accept=(errno.EBUSY,))


def thaw(target: Path) -> None:
    """Not frozen is fine."""
    _on(target, _FITHAW, 0, f"fsfreeze --unfreeze {target}", accept=(errno.EINVAL,))


def trim(target: Path) -> None:
    """Give free blocks back to whatever the device is made of."""
    _on(target, _FITRIM, struct.pack("=3Q", 0, (1 << 64) - 1, 0), f"fstrim {target}")


def can_share_blocks(directory: Path) -> bool:
    """Whether files there can be cloned (xfs with reflink, btrfs)."""
    try:
        first = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    try:
        second = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.write(first, b"x" * 4096)
            fcntl.ioctl(second, _FICLONE, first)
        except OSError:
            return False
        finally:
            os.close(second)
    finally:
        os.close(first)
    return True


def clone(source: int, target: int) -> None:
    """The blocks of one open file in another, shared until either is written. Raises Unsupported where that cannot be."""
    request = f"cp --reflink=always /proc/self/fd/{source} /proc/self/fd/{target}"
    reach(f"filesystem before {request}")
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EINVAL, errno.EXDEV, errno.ENOTTY):
            raise Unsupported("this file system cannot share blocks between files", hint="make the pool on xfs") from None
        raise KernelError(error.errno or errno.EIO, request) from None
    reach(f"filesystem after {request}")


def copy(source: int, target: int) -> None:
    """Byte for byte, holes as holes. `target` is empty."""
    end = os.fstat(source).st_size
    os.ftruncate(target, end)
    position = 0
    while position < end:
        try:
            start = os.lseek(source, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break
            raise
        position = os.lseek(source, start, os.SEEK_HOLE)
        while start < position:
            start += os.copy_file_range(source, target, min(_COPY_BYTES, position - start), start, start)


def allocate(fd: int, size_bytes: int) -> None:
    """Real blocks for all of the file, what is there is kept. Raises KernelError with ENOSPC when there are not enough."""
    libc.fallocate(fd, 0 if os.fstat(fd).st_size < size_bytes else libc.FALLOC_FL_KEEP_SIZE, 0, size_bytes)


def _on(target: Path, number: int, argument: int | bytes, request: str, accept: Sequence[int] = ()) -> None:
    fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    reach(f"filesystem before {request}")
    try:
        fcntl.ioctl(fd, number, argument)
    except OSError as error:
        if error.errno not in accept:
            raise KernelError(error.errno or errno.EIO, request) from None
    finally:
        os.close(fd)
    reach(f"filesystem after {request}")


def grows_mounted() -> tuple[Kind, ...]:
    """Which kinds can grow while they are used, by this process."""
    return (Kind.EXT4, Kind.XFS) if _may_grow_ext4() else (Kind.XFS,)


def _may_grow_ext4() -> bool:
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        effective = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff:"))
    return bool(effective >> libc.CAPABILITIES.index("SYS_RESOURCE") & 1)


def kind_of(name: str) -> Kind:
    """By the name a user writes; none is ext4."""
    try:
        return Kind(name or "ext4")
    except ValueError:
        raise InvalidObject(f'file system "{name}" is not made here: write ext4 or xfs') from None
