"""hostPath types, trees that pods have filled, sub-paths under attack, and atomic files: on real file systems."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.errors import Forbidden, InUse, InvalidObject, NotFound, Unavailable
from agent.kernel import mount, subpath
from agent.objects.volumes import HostPathType, HostPathVolume
from agent.volume import atomic_files, hostpath, tree
from agent.volume.payload import Content

pytestmark = pytest.mark.kernel

T = HostPathType


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


MAKERS: dict[HostPathType, Callable[[Path], object]] = {
    T.DIRECTORY: Path.mkdir,
    T.FILE: Path.touch,
    T.SOCKET: _socket,
    T.CHAR_DEVICE: lambda path: os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3)),
    T.BLOCK_DEVICE: lambda path: os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(7, 250)),
}


# ── hostPath: the 35 cases ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("wanted", MAKERS)
def test_what_does_not_exist_is_refused(tmp_path: Path, wanted: HostPathType) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        hostpath.ensure_(HostPathVolume(path=str(tmp_path / "x"), type=wanted))


@pytest.mark.parametrize("there", MAKERS)
@pytest.mark.parametrize("wanted", ["the same", "unset"])
def test_the_right_type_and_none_fit(tmp_path: Path, there: HostPathType, wanted: str) -> None:
    MAKERS[there](tmp_path / "x")
    volume = HostPathVolume(path=str(tmp_path / "x"), type=there if wanted == "the same" else T.ANY)
    assert hostpath.ensure_(volume) == tmp_path / "x"


@pytest.mark.parametrize(("there", "wanted"), [(a, b) for a in MAKERS for b in MAKERS if a is not b])
def test_another_type_is_refused(tmp_path: Path, there: HostPathType, wanted: HostPathType) -> None:
    MAKERS[there](tmp_path / "x")
    with pytest.raises(InvalidObject, match=r"is not a.* as type"):
        hostpath.ensure_(HostPathVolume(path=str(tmp_path / "x"), type=wanted))


def test_directories_and_files_are_made_if_asked(tmp_path: Path) -> None:
    made = hostpath.ensure_(HostPathVolume(path=str(tmp_path / "a/b"), type=T.DIRECTORY_OR_CREATE))
    assert stat.S_IMODE(made.stat().st_mode) == 0o755
    file = hostpath.ensure_(HostPathVolume(path=str(tmp_path / "f"), type=T.FILE_OR_CREATE))
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    with pytest.raises(NotFound, match="its directory does not exist"):
        hostpath.ensure_(HostPathVolume(path=str(tmp_path / "no/f"), type=T.FILE_OR_CREATE))
    with pytest.raises(InvalidObject, match=r'without "\.\."'):
        hostpath.ensure_(HostPathVolume(path=f"{tmp_path}/../x"))


# ── trees ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_tree_of_every_kind_of_file_goes_and_links_are_not_followed(tmp_path: Path) -> None:
    (kept := tmp_path / "kept").mkdir()
    (kept / "file").touch()
    (top := tmp_path / "top").mkdir()
    for number, make in enumerate(MAKERS.values()):
        make(top / str(number))
    (top / "link").symlink_to(kept)
    (top / "dangling").symlink_to("nowhere")
    os.mkfifo(top / "0/fifo")
    tree.remove(top)
    tree.remove(top)
    assert not top.exists()
    assert (kept / "file").exists()


def test_a_nest_of_any_depth_goes(tmp_path: Path) -> None:
    (top := tmp_path / "top").mkdir()
    fd = os.open(top, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    tree.remove(top)
    assert not top.exists()


@pytest.mark.parametrize("kind", ["tmpfs", "bind of the same device", "file"])
def test_nothing_behind_a_mount_is_deleted(tmp_path: Path, kind: str) -> None:
    (precious := tmp_path / "precious").mkdir()
    (top := tmp_path / "top").mkdir()
    point = top / "point"
    if kind == "file":
        point.touch()
        (precious / "data").touch()
        mount.ensure_bind(precious / "data", point)
    else:
        point.mkdir()
        mount.ensure_tmpfs(point) if kind == "tmpfs" else mount.ensure_bind(precious, point)
        (point / "data").touch()
    with pytest.raises(InUse, match="nothing behind it is deleted"):
        tree.remove(top)
    assert point.exists()
    assert kind == "file" or (point / "data").exists()
    mount.remove_(point)
    tree.remove(top)
    assert kind == "tmpfs" or (precious / "data").exists()


def test_a_group_is_given_everything_and_the_root_last(tmp_path: Path) -> None:
    (top := tmp_path / "top").mkdir(mode=0o700)
    (top / "d").mkdir(mode=0o700)
    (top / "d/f").touch(mode=0o600)
    (outside := tmp_path / "outside").touch(mode=0o600)
    (top / "link").symlink_to(outside)
    assert tree.set_group(top, 2000)
    shown = {path.name: (stat.S_IMODE(path.stat().st_mode), path.stat().st_gid) for path in (top, top / "d", top / "d/f", outside)}
    assert shown == {"top": (0o2770, 2000), "d": (0o2770, 2000), "f": (0o660, 2000), "outside": (0o600, 0)}
    assert not tree.set_group(top, 2000, only_if_root_differs=True)
    (top / "late").touch(mode=0o600)
    assert tree.set_group(top, 2000)
    assert stat.S_IMODE((top / "late").stat().st_mode) == 0o660


# ── sub-paths ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[int]:
    (root := tmp_path / "volume").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").touch()
    (root / "dir/inner").mkdir(parents=True)
    (root / "dir/file").touch()
    (root / "inside").symlink_to("dir")
    (root / "up").symlink_to("../outside")
    (root / "absolute").symlink_to(tmp_path / "outside")
    (root / "dangling").symlink_to("nowhere")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "fifo")
    _socket(root / "socket")
    fd = os.open(root, os.O_PATH)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    "path", ["dir", "dir/file", "dir/inner", "inside", "inside/file", "inside/../dir", "fifo", "socket", "new/deep", "inside/new"]
)
def test_what_is_inside_is_found_or_made(volume: int, path: str) -> None:
    os.close(subpath.open_(volume, path))


@pytest.mark.parametrize(
    "path", ["up", "up/secret", "absolute", "absolute/new", "../outside", "dir/../../outside", "dangling", "loop", "dir/file/x"]
)
def test_what_leads_out_is_refused(volume: int, path: str) -> None:
    with pytest.raises(Forbidden, match="subPath"):
        os.close(subpath.open_(volume, path))


def test_links_swapped_meanwhile_never_lead_out(tmp_path: Path, volume: int) -> None:
    root, done = tmp_path / "volume", threading.Event()
    (root / "a").mkdir()
    (root / "a/t").touch()
    (tmp_path / "outside/t").touch()
    outside = (tmp_path / "outside/t").stat().st_ino

    def swap() -> None:
        while not done.is_set():
            os.rename(root / "a", root / "b")
            os.symlink("../outside", root / "a")
            os.unlink(root / "a")
            os.rename(root / "b", root / "a")

    thread = threading.Thread(target=swap)
    thread.start()
    reached = set()
    for _ in range(5000):
        try:
            fd = subpath.open_(volume, "a/t")
        except (Forbidden, Unavailable, OSError):
            continue
        reached.add(os.fstat(fd).st_ino)
        os.close(fd)
    done.set()
    thread.join()
    assert reached
    assert outside not in reached


# ── atomic files ──────────────────────────────────────────────────────────────────────────────────


def shown(directory: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(directory)): p.read_bytes()
        for p in directory.rglob("*")
        if p.is_file() and ".." not in str(p.relative_to(directory))
    }


def test_files_change_all_at_once_and_nothing_old_is_left(tmp_path: Path) -> None:
    assert atomic_files.write(tmp_path, {"a": Content(b"1"), "d/b": Content(b"2", 0o400)})
    before = os.readlink(tmp_path / "..data")
    assert not atomic_files.write(tmp_path, {"a": Content(b"1"), "d/b": Content(b"2", 0o400)})
    assert os.readlink(tmp_path / "..data") == before
    assert atomic_files.write(tmp_path, {"a": Content(b"one"), "c": Content(b"3")})
    assert sorted(os.listdir(tmp_path)) == sorted(["..data", os.readlink(tmp_path / "..data"), "a", "c"])
    assert shown(tmp_path) == {"a": b"one", "c": b"3"}


def test_what_an_interrupted_write_left_goes_with_the_next(tmp_path: Path) -> None:
    atomic_files.write(tmp_path, {"a": Content(b"1")})
    (tmp_path / "..2000_half").mkdir()
    (tmp_path / "..data_tmp").symlink_to("..2000_half")
    (tmp_path / "stale").symlink_to("..data/stale")
    atomic_files.write(tmp_path, {"a": Content(b"1")})
    assert sorted(os.listdir(tmp_path)) == sorted(["..data", os.readlink(tmp_path / "..data"), "a"])


def test_a_group_may_read(tmp_path: Path) -> None:
    atomic_files.write(tmp_path, {"a": Content(b"1", 0o400)}, gid=2000)
    found = (tmp_path / "a").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o440, 2000)
