"""Loop devices: an image file as a block device. Found by the image's inode, never by a name; others' are never touched.

One image is never on two loops: a lock (flock) on the image is taken before it is attached, and as the kernel keeps the
very same open file, the lock lasts exactly as long as the loop, whatever becomes of us. A loop that has our image without
that lock is somebody else's, and refused.
For a file system the loop is made to vanish with its last user (autoclear, set as it is made: between two calls we could
die), so `attached` keeps it open until it is mounted. For a raw volume it stays until `detach`: a bind mount of the
device node does not hold the device, and its number would be given to another image.
Sectors are 4096 bytes always: a reflinked image would get another size when attached again.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.errors import Exhausted, InUse, KernelError, Unsupported
from agent.killpoint import reach

SECTOR = 4096
_CONTROL = "/dev/loop-control"
_CLR_FD, _GET_STATUS64, _SET_CAPACITY, _CONFIGURE, _GET_FREE = 0x4C01, 0x4C05, 0x4C07, 0x4C0A, 0x4C82
_READ_ONLY, _AUTOCLEAR, _DIRECT_IO = 1, 4, 16
_INFO = struct.Struct("=5Q4I64s64s32s2Q")
"""struct loop_info64."""
_CONFIG = struct.Struct(f"=2I{_INFO.size}s64x")
"""struct loop_config."""
_ATTEMPTS = 50
_LOCK = threading.Lock()
"""Eight threads that ask for a free number get the same one half of the time. Other processes still may: hence the retry."""


@dataclass(frozen=True, slots=True)
class Loop:
    """`device` and `inode` are those of the image."""

    number: int
    device: int
    inode: int
    is_read_only: bool = False
    is_autoclear: bool = False
    is_direct: bool = False

    @property
    def path(self) -> str:
        return f"/dev/loop{self.number}"

    @property
    def rdev(self) -> int:
        return os.stat(self.path).st_rdev


def list_() -> Iterator[Loop]:
    """All that have an image, whoever made them."""
    for entry in Path("/sys/block").glob("loop*/loop"):
        try:
            fd = os.open(f"/dev/{entry.parent.name}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            if (found := _status(fd)) is not None:
                yield found
        finally:
            os.close(fd)


def find(image: int | Path) -> Loop | None:
    """The loop that has this image (a path, or an open file)."""
    try:
        wanted = os.stat(image)
    except FileNotFoundError:
        return None
    return next((loop for loop in list_() if (loop.device, loop.inode) == (wanted.st_dev, wanted.st_ino)), None)


@contextmanager
def attached(image: Path, *, read_only: bool = False, direct: bool = True) -> Iterator[Loop]:
    """For a file system: the image on a loop, open until the block ends; then it is there for as long as it is mounted."""
    fd, loop = _attach(image, read_only, _AUTOCLEAR, direct)
    try:
        yield loop
    finally:
        os.close(fd)


def attach(image: Path, *, read_only: bool = False, direct: bool = True) -> Loop:
    """For a raw volume: the image on a loop that stays until `detach`. One that is there already is kept."""
    fd, loop = _attach(image, read_only, 0, direct)
    os.close(fd)
    return loop


def detach(image: Path) -> None:
    """Take the image's loop away. Absent is fine; while it is open or mounted it is left, to vanish with its last user."""
    loop = find(image)
    if loop is None:
        return
    fd = os.open(loop.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _status(fd) == loop:  # and not another's meanwhile
            _ioctl(fd, _CLR_FD, 0, f"losetup --detach {loop.path}")
    except KernelError as error:
        if error.errno != errno.ENXIO:
            raise
    finally:
        os.close(fd)


def grow(loop: Loop) -> None:
    """Tell the device that its image has become longer."""
    fd = os.open(loop.path, os.O_RDWR | os.O_CLOEXEC)
    try:
        _ioctl(fd, _SET_CAPACITY, 0, f"losetup --set-capacity {loop.path}")
    finally:
        os.close(fd)


def _attach(image: Path, read_only: bool, flags: int, direct: bool) -> tuple[int, Loop]:
    """The device, open, and what it is."""
    file = os.open(image, (os.O_RDONLY if read_only else os.O_RDWR) | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not _locked(file):
            return _again(file, image, read_only)
        if (foreign := find(file)) is not None:
            raise InUse(f"{image} is attached to {foreign.path} by somebody else", hint=f"losetup --detach {foreign.path}")
        flags |= (_READ_ONLY if read_only else 0) | (_DIRECT_IO if direct else 0)
        with _LOCK:
            return _configure(file, image, flags)
    finally:
        os.close(file)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _again(file: int, image: Path, read_only: bool) -> tuple[int, Loop]:
    """It is attached already, by us or by who we were before a restart."""
    loop = find(file)
    if loop is None or loop.is_read_only != read_only:
        raise InUse(f"{image} is in use" + (f" by {loop.path}, read-{'only' if loop.is_read_only else 'write'}" if loop else ""))
    fd = os.open(loop.path, (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC)
    if _status(fd) == loop:
        return fd, loop
    os.close(fd)
    raise InUse(f"{image} has just been detached from {loop.path}")


def _configure(file: int, image: Path, flags: int) -> tuple[int, Loop]:
    request = f"losetup --find --sector-size {SECTOR} --direct-io={'on' if flags & _DIRECT_IO else 'off'} {image}"
    info = _INFO.pack(0, 0, 0, 0, 0, 0, 0, 0, flags, os.fsencode(image)[:63], b"", b"", 0, 0)
    config = _CONFIG.pack(file, SECTOR, info)
    for attempt in range(_ATTEMPTS):
        device = _open_free()
        try:
            _ioctl(device, _CONFIGURE, config, request)
            if (loop := _status(device)) is not None:
                return device, loop
        except KernelError as error:
            if error.errno not in (errno.EBUSY, errno.ENXIO):
                os.close(device)
                raise
        os.close(device)
        time.sleep(0.001 * min(attempt, 20))
    raise Exhausted(f"no loop device for {image}: other programs took each that was free", hint="losetup --list shows them")


def _open_free() -> int:
    try:
        control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Unsupported("this kernel has no loop devices", hint="modprobe loop") from None
    try:
        number = _ioctl(control, _GET_FREE, 0, "losetup --find")
    finally:
        os.close(control)
    try:
        return os.open(f"/dev/loop{number}", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError(error.errno or errno.EIO, f"open /dev/loop{number}") from None


def _status(fd: int) -> Loop | None:
    """None: it has no image."""
    try:
        raw = fcntl.ioctl(fd, _GET_STATUS64, bytes(_INFO.size))
    except OSError:
        return None
    device, inode, _, _, _, number, _, _, flags, *_ = _INFO.unpack(raw)
    return Loop(number, device, inode, bool(flags & _READ_ONLY), bool(flags & _AUTOCLEAR), bool(flags & _DIRECT_IO))


def _ioctl(fd: int, number: int, argument: int | bytes, request: str) -> int:
    reach(f"loop before {request}")
    try:
        result = fcntl.ioctl(fd, number, argument)
    except OSError as error:
        raise KernelError(error.errno or errno.EIO, request) from None
    reach(f"loop after {request}")
    return result if isinstance(result, int) else 0
