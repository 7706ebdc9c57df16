"""The file behind a volume or snapshot: made once and completely, copied, grown. Nothing here decides, nothing is mounted
for longer than a moment.

A draft is written, brought to disk, and only then placed (directory.py). mkfs runs here, on a file made a moment before,
and nowhere else: no image is ever formatted because it looks empty. Thick means that the blocks are there: they are asked
for again after mkfs, which gives some back.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from agent.errors import Exhausted, KernelError, Unsupported
from agent.kernel import filesystem, libc, loop, mount
from agent.kernel.filesystem import Kind

_ERRORS, _CLEAN = 2, 1
_STATE_OFFSET = 1024 + 0x3A
"""s_state of an ext4 superblock."""


@dataclass(frozen=True, slots=True)
class Shape:
    """`kind` None: no filesystem, and no `uuid`."""

    size_bytes: int
    kind: Kind | None
    uuid: str
    is_thin: bool


def make(draft: Path, shape: Shape, options: tuple[str, ...] = ()) -> None:
    """An empty image. What a former attempt left is replaced."""
    fd = _new(draft)
    try:
        os.ftruncate(fd, shape.size_bytes)
        if not shape.is_thin:
            _allocate(fd, shape.size_bytes)
        if shape.kind is not None:
            filesystem.make(shape.kind, draft, uuid=shape.uuid, options=options)
            if not shape.is_thin:
                filesystem.allocate(fd, shape.size_bytes)
        os.fsync(fd)
    finally:
        os.close(fd)


def copy(source: Path, draft: Path) -> None:
    """Shares the blocks where the pool can, else copies them: seconds a GiB."""
    fd = _new(draft)
    source_fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        try:
            filesystem.clone(source_fd, fd)
        except Unsupported:
            filesystem.copy(source_fd, fd)
        os.fsync(fd)
    finally:
        os.close(source_fd)
        os.close(fd)


def become(draft: Path, shape: Shape) -> None:
    """Make a copy a volume of its own: its own size, its own blocks, another identity."""
    lengthen(draft, shape.size_bytes, is_thin=shape.is_thin)
    if shape.kind is None:
        return
    if shape.kind is Kind.XFS:
        _settle(draft, shape.kind)
    filesystem.set_uuid(shape.kind, draft, shape.uuid)
    filesystem.grow_unmounted(shape.kind, draft)
    _sync(draft)


def _settle(draft: Path, kind: Kind) -> None:
    """xfs writes its log back only when it is mounted, and keeps its identity while the log is dirty. It grows mounted too."""
    target = draft.with_name(f"{draft.name}.mounted")
    target.mkdir(exist_ok=True)
    try:
        with loop.attached(draft) as device:
            mount.mount_device(device.path, target, kind, flags=libc.MS_NOSUID | libc.MS_NODEV, data="nouuid")
            filesystem.grow_mounted(kind, device.path, target)
            libc.umount(str(target), libc.UMOUNT_NOFOLLOW)
    finally:
        mount.remove_(target)
        target.rmdir()


def lengthen(image: Path, size_bytes: int, *, is_thin: bool) -> None:
    """Never shorter: that is where somebody's data is."""
    fd = os.open(image, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        before = os.fstat(fd).st_size
        if before < size_bytes:
            os.ftruncate(fd, size_bytes)
        if not is_thin:
            try:
                _allocate(fd, size_bytes)
            except Exhausted:
                os.ftruncate(fd, before)  # nobody was told of the rest
                raise
        os.fsync(fd)
    finally:
        os.close(fd)


def heal(image: Path, kind: Kind) -> None:
    """Before a mount: ext4 that knows of errors, or was never closed, is checked. xfs repairs itself when it is mounted."""
    if kind is not Kind.EXT4:
        return
    fd = os.open(image, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        state = int.from_bytes(os.pread(fd, 2, _STATE_OFFSET), "little")
    finally:
        os.close(fd)
    if state & _ERRORS or not state & _CLEAN:
        filesystem.replay(kind, image)


def _allocate(fd: int, size_bytes: int) -> None:
    try:
        filesystem.allocate(fd, size_bytes)
    except KernelError as error:
        if error.errno == errno.ENOSPC:
            raise Exhausted(
                f"the pool has no {size_bytes} bytes for a thick volume", hint="podwright pool list shows what is free"
            ) from None
        raise


def _new(draft: Path) -> int:
    draft.unlink(missing_ok=True)
    try:
        return os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise KernelError(error.errno or 0, f"touch {draft}") from None


def _sync(image: Path) -> None:
    fd = os.open(image, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
