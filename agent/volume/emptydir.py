"""emptyDir: scratch space that lives and dies with its pod, in one of four shapes.

    no sizeLimit        a directory
    sizeLimit           an image on a loop device, so that the limit is the kernel's: ENOSPC at once, not an eviction later
    medium Memory       a tmpfs; size is the least of sizeLimit, the pod's memory limit, what the node gives to pods
    medium HugePages    a hugetlbfs

What is there under its final name is complete: a directory gets its mode before it gets its name, a mount is put there
last. An image has no journal (32 MiB of a 1 GiB one, for data that no pod expects to survive a power cut): after one it
is checked before use. It is sparse: a limit is no reservation. Its ext4 is mounted by a part, so no lost+found shows.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.errors import InvalidObject, KernelError, Unsupported
from agent.kernel import filesystem, libc, loop, mount
from agent.kernel.filesystem import Kind
from agent.killpoint import reach
from agent.objects.volumes import EmptyDirVolume
from agent.volume import tree
from agent.volume.layout import Plugin, PodPlace

_BLOCK = 4096
_INODE_BYTES = 256
_GROUP_BLOCKS = 32768
_EXTENT_BLOCKS, _EXTENTS_IN_BLOCK = 32768, 340
_BYTES_AN_INODE = 16384
_SPARE_BLOCKS = 48
"""Root, lost+found, our directory, and what an allocator leaves unused; with it a file of one MiB more never fits."""
_MODE = 0o777
_HUGE = "HugePages"


@dataclass(frozen=True, slots=True)
class Directory:
    pass


@dataclass(frozen=True, slots=True)
class Image:
    limit_bytes: int

    @property
    def inodes(self) -> int:
        return max(self.limit_bytes // _BYTES_AN_INODE, 1024)

    @property
    def size_bytes(self) -> int:
        return image_blocks(self.limit_bytes, self.inodes) * _BLOCK


@dataclass(frozen=True, slots=True)
class Tmpfs:
    size_bytes: int


@dataclass(frozen=True, slots=True)
class HugePages:
    page_bytes: int
    size_bytes: int


Shape = Directory | Image | Tmpfs | HugePages


def shape_of(volume: EmptyDirVolume, *, memory_limit: int | None, allocatable_memory: int, huge_pages: int = 0) -> Shape:
    """Pure. `memory_limit` of the pod, if it has one; `huge_pages`: bytes of them that the pod asks for. Raises InvalidObject."""
    limit = volume.size_limit.whole if volume.size_limit is not None else 0
    if volume.medium == "Memory":
        return Tmpfs(min(size for size in (limit, memory_limit, allocatable_memory) if size))
    if volume.medium.startswith(_HUGE):
        return HugePages(_page_bytes(volume.medium), limit or huge_pages)
    if volume.medium:
        raise InvalidObject(f'emptyDir.medium "{volume.medium}" is none of: Memory, HugePages, HugePages-2Mi …')
    return Image(limit) if limit > 0 else Directory()


def image_blocks(limit_bytes: int, inodes: int) -> int:
    """How long an ext4 (no journal, no room for growth) must be for one file of the limit and not for one MiB more. Pure.

    The data and its extent tree; two bitmaps and the inode table a group; descriptors and their copies; what ext4
    keeps for itself (a fiftieth, at most 4096 blocks).
    """
    data = -(-limit_bytes // _BLOCK)
    extents = -(-data // _EXTENT_BLOCKS)
    tree_blocks = 0 if extents <= 4 else -(-extents // _EXTENTS_IN_BLOCK) + 1
    needed = data + tree_blocks + _SPARE_BLOCKS
    total = needed
    while True:
        groups = -(-total // _GROUP_BLOCKS)
        per_group = -(-inodes // groups // 16) * 16
        tables = groups * (2 + -(-per_group * _INODE_BYTES // _BLOCK))
        copies = len([g for g in range(groups) if _has_copy(g)]) * (1 + -(-groups * 64 // _BLOCK))
        kept = min(total // 50, 4096)
        wanted = needed + tables + copies + kept
        if wanted <= total:
            return total
        total = wanted


def _has_copy(group: int) -> bool:
    """Sparse superblocks: groups 0, 1 and the powers of 3, 5, 7."""
    return group < 2 or any(_is_power(group, base) for base in (3, 5, 7))


def _is_power(number: int, base: int) -> bool:
    while number % base == 0:
        number //= base
    return number == 1


def ensure_(place: PodPlace, name: str, shape: Shape, *, gid: int | None = None) -> Path:
    """The directory of the volume; made once, what is there is kept. `gid` is the pod's fsGroup."""
    target = place.volume(Plugin.EMPTY_DIR, name)
    if isinstance(shape, Directory):
        _ensure_directory(target, gid)
    elif not mount.is_mount_point(target):
        target.mkdir(parents=True, exist_ok=True)
        if isinstance(shape, Tmpfs):
            _mount_tmpfs(target, shape, gid)
        elif isinstance(shape, HugePages):
            _mount_huge_pages(target, shape, gid)
        else:
            _mount_image(place.private(Plugin.EMPTY_DIR, name), target, shape, gid)
    return target


def _ensure_directory(target: Path, gid: int | None) -> None:
    if target.is_dir():
        return
    draft = target.with_name(f".making-{target.name}")
    draft.mkdir(parents=True, exist_ok=True)
    _open_up(draft, gid)
    reach(f"rename before {draft} {target}")
    draft.rename(target)
    reach(f"rename after {draft} {target}")


def _open_up(directory: Path, gid: int | None) -> None:
    """For all to use; with a group, new files belong to it."""
    if gid is not None:
        os.chown(directory, -1, gid)
    directory.chmod(_MODE | (0o2000 if gid is not None else 0))


def _mount_tmpfs(target: Path, shape: Tmpfs, gid: int | None) -> None:
    options = [f"size={shape.size_bytes}", *_ownership(gid)]
    mount_tmpfs(target, options)


def mount_tmpfs(target: Path, options: Sequence[str], flags: int = libc.MS_NOSUID | libc.MS_NODEV) -> None:
    """Never written to swap where the kernel can promise that (6.4)."""
    with suppress(KernelError):
        libc.mount("podwright", str(target), "tmpfs", flags, ",".join([*options, "noswap"]))
        return
    libc.mount("podwright", str(target), "tmpfs", flags, ",".join(options))


def _mount_huge_pages(target: Path, shape: HugePages, gid: int | None) -> None:
    pages = Path(f"/sys/kernel/mm/hugepages/hugepages-{shape.page_bytes >> 10}kB/nr_hugepages")
    if not pages.exists() or int(pages.read_text(encoding="ascii")) == 0:
        raise Unsupported(f"this node has no huge pages of {shape.page_bytes >> 10} KiB", hint=f"write a number to {pages}")
    options = [f"pagesize={shape.page_bytes}", *([f"size={shape.size_bytes}"] if shape.size_bytes else []), *_ownership(gid)]
    libc.mount("podwright", str(target), "hugetlbfs", libc.MS_NOSUID | libc.MS_NODEV, ",".join(options))


def _ownership(gid: int | None) -> list[str]:
    return ["mode=0777"] if gid is None else ["mode=02777", f"gid={gid}"]


def _page_bytes(medium: str) -> int:
    if medium == _HUGE:
        return 2 << 20
    sizes = {"HugePages-2Mi": 2 << 20, "HugePages-1Gi": 1 << 30}
    if medium not in sizes:
        raise InvalidObject(f'emptyDir.medium "{medium}" is no size of huge pages: write {" or ".join(sizes)}')
    return sizes[medium]


def _mount_image(private: Path, target: Path, shape: Image, gid: int | None) -> None:
    image, whole = private / "image", private / "whole"
    whole.mkdir(parents=True, exist_ok=True)
    mount.remove_(whole)
    if image.exists():
        if loop.find(image) is None:  # after a reboot; with a loop it was mounted until just now, or still is in some pod
            filesystem.scrub(image)
    else:
        _make_image(image, shape)
    with loop.attached(image) as device:
        mount.mount_device(device.path, whole, "ext4", flags=libc.MS_NOSUID | libc.MS_NODEV, data="discard")
    try:
        data = whole / "data"
        if not data.exists():
            data.mkdir()
            _open_up(data, gid)
        mount.move_part(data, target)
    finally:
        mount.remove_(whole)


def _make_image(image: Path, shape: Image) -> None:
    """Complete under its name, or not there."""
    draft = image.with_name(".image.making")
    tree.remove(draft)
    fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(fd, shape.size_bytes)
        filesystem.make(Kind.EXT4, draft, options=["-O", "^has_journal,^resize_inode", "-N", str(shape.inodes)])
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(draft, image)
