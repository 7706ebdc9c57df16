"""Mount verbs on real mounts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import KernelError
from agent.kernel import libc, mount
from agent.kernel.mount import Propagation

pytestmark = pytest.mark.kernel


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory whose mounts are gone after the test."""
    yield tmp_path
    for found in reversed(mount.list_()):
        if found.target.startswith(str(tmp_path)):
            mount.remove_(Path(found.target))


def test_a_tmpfs_is_made_once(place: Path) -> None:
    target = place / "tmp"
    mount.ensure_tmpfs(target, data="mode=0700,size=1m")
    (target / "kept").touch()
    mount.ensure_tmpfs(target, data="mode=0700,size=1m")
    assert [entry.name for entry in target.iterdir()] == ["kept"]
    assert len([found for found in mount.list_() if found.target == str(target)]) == 1


def test_a_bind_is_made_once_and_follows_read_only(place: Path) -> None:
    (source := place / "source").mkdir()
    (target := place / "target").mkdir()
    for read_only in (False, True, True, False):
        mount.ensure_bind(source, target, read_only=read_only)
        found = mount.find(target)
        assert found is not None
        assert found.is_read_only == read_only
    (target / "file").touch()
    assert (source / "file").exists()
    assert len([found for found in mount.list_() if found.target == str(target)]) == 1


def test_read_only_is_of_the_mount_not_of_the_source(place: Path) -> None:
    (source := place / "source").mkdir()
    (target := place / "target").mkdir()
    mount.ensure_bind(source, target, read_only=True)
    (source / "file").touch()
    with pytest.raises(OSError, match="Read-only file system"):
        (target / "other").touch()


def test_propagation(place: Path) -> None:
    mount.ensure_tmpfs(place / "tmp")
    mount.set_propagation(place / "tmp", Propagation.SHARED)
    found = mount.find(place / "tmp")
    assert found is not None
    assert found.propagation[0].startswith("shared:")
    mount.set_propagation(place / "tmp", Propagation.PRIVATE)
    assert mount.find(place / "tmp").propagation == ()  # type: ignore[union-attr]


def test_removal_takes_the_whole_stack_and_absence_is_fine(place: Path) -> None:
    (target := place / "a b").mkdir()
    for _ in range(2):
        libc.mount("podwright", str(target), "tmpfs")
    mount.remove_(target)
    assert mount.find(target) is None
    mount.remove_(target)
    mount.remove_(place / "nowhere")


def test_removal_does_not_wait_for_users(place: Path) -> None:
    mount.ensure_tmpfs(place / "tmp")
    with open(place / "tmp/file", "w", encoding="utf-8") as file:
        mount.remove_(place / "tmp")
        assert mount.find(place / "tmp") is None
        file.write("still writable")


def test_a_refusal_is_the_line_a_person_would_type(place: Path) -> None:
    with pytest.raises(KernelError, match=r"`mount -o ro,bind /nonesuch '.*a b'`: no such file or directory \[ENOENT\]"):
        libc.mount("/nonesuch", str(place / "a b"), "", libc.MS_BIND | libc.MS_RDONLY)


def test_a_detached_copy_is_seen_by_nobody_until_it_is_moved(place: Path) -> None:
    mount.ensure_tmpfs(place / "tmp")
    (place / "tmp/file").touch()
    (place / "copy").mkdir()
    fd = libc.open_tree(str(place / "tmp"), clone=True)
    libc.mount_setattr(fd, attributes=libc.MOUNT_ATTR_RDONLY)
    assert mount.find(place / "copy") is None
    libc.move_mount(fd, str(place / "copy"))
    os.close(fd)
    found = mount.find(place / "copy")
    assert found is not None
    assert found.is_read_only
    assert (place / "copy/file").exists()
