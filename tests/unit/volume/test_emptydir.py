"""Which shape an emptyDir has, and how large its image must be."""

from __future__ import annotations

import pytest

from agent.errors import InvalidObject
from agent.objects.quantity import Quantity
from agent.objects.volumes import EmptyDirVolume
from agent.volume.emptydir import Directory, HugePages, Image, Shape, Tmpfs, image_blocks, shape_of

MIB, GIB = 1 << 20, 1 << 30


@pytest.mark.parametrize(
    ("medium", "limit", "memory_limit", "expected"),
    [
        ("", None, None, Directory()),
        ("", "0", None, Directory()),
        ("", "10Mi", None, Image(10 * MIB)),
        ("Memory", None, None, Tmpfs(8 * GIB)),
        ("Memory", "10Mi", None, Tmpfs(10 * MIB)),
        ("Memory", "1Gi", 64 * MIB, Tmpfs(64 * MIB)),
        ("Memory", None, 64 * MIB, Tmpfs(64 * MIB)),
        ("Memory", "100Gi", None, Tmpfs(8 * GIB)),
        ("HugePages", None, None, HugePages(2 * MIB, 4 * MIB)),
        ("HugePages-1Gi", "2Gi", None, HugePages(GIB, 2 * GIB)),
    ],
)
def test_shapes(medium: str, limit: str | None, memory_limit: int | None, expected: Shape) -> None:
    volume = EmptyDirVolume(medium=medium, size_limit=Quantity.parse(limit) if limit else None)
    assert shape_of(volume, memory_limit=memory_limit, allocatable_memory=8 * GIB, huge_pages=4 * MIB) == expected


@pytest.mark.parametrize("medium", ["Disk", "HugePages-3Mi"])
def test_an_unknown_medium_is_refused(medium: str) -> None:
    with pytest.raises(InvalidObject, match=medium):
        shape_of(EmptyDirVolume(medium=medium), memory_limit=None, allocatable_memory=GIB)


@pytest.mark.parametrize(("mib", "least", "most"), [(1, 266, 640), (10, 2569, 2900), (64, 16393, 17200), (1024, 262_197, 272_000)])
def test_an_image_has_room_for_its_limit_and_its_tables(mib: int, least: int, most: int) -> None:
    """What the kernel needed at least, measured with 1024 inodes, and not much more; tests/kernel fill them."""
    assert least <= image_blocks(mib * MIB, 1024) <= most
