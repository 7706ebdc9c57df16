"""Namespaces that are held by mounts."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import InvalidObject, KernelError, NotFound
from agent.kernel import libc, mount, netns

pytestmark = pytest.mark.kernel


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """The directory that holds the namespaces, and nothing left of it afterwards."""
    directory = tmp_path / "ns"
    netns.ensure_root(directory)
    yield directory
    mount.remove_(directory)


def inside(directory: Path, command: str) -> str:
    namespaces = [f"--{kind}={directory / kind}" for kind in ("net", "uts", "ipc")]
    return subprocess.run(["nsenter", *namespaces, "sh", "-c", command], check=True, capture_output=True, text=True).stdout


def identity(path: Path) -> tuple[int, int]:
    return (path.stat().st_dev, path.stat().st_ino)


def test_a_pod_has_its_own_hostname_and_loopback(root: Path) -> None:
    netns.create(root / "web", hostname="web")
    assert inside(root / "web", "hostname") == "web\n"
    assert inside(root / "web", "ip -br address show lo") == "lo               UNKNOWN        127.0.0.1/8 ::1/128 \n"
    assert netns.list_(root) == ("web",)


def test_creating_again_keeps_what_is_there(root: Path) -> None:
    netns.create(root / "web")
    before = netns.identity(root / "web/net")
    netns.create(root / "web")
    assert netns.identity(root / "web/net") == before


def test_no_thread_of_ours_moves(root: Path) -> None:
    own = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("net", "uts", "ipc")]
    netns.create(root / "web", hostname="web")
    assert own == [os.readlink(f"/proc/self/ns/{kind}") for kind in ("net", "uts", "ipc")]
    deadline = time.monotonic() + 5
    while network_namespaces_of_threads() != {own[0]}:  # Python's join returns a little before the kernel's thread is gone
        assert time.monotonic() < deadline


def network_namespaces_of_threads() -> set[str]:
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(task / "ns/net"))
    return found


def test_only_the_kinds_asked_for(root: Path) -> None:
    netns.create(root / "host-network", kinds=("uts", "ipc"), hostname="x")
    assert sorted(os.listdir(root / "host-network")) == ["ipc", "uts"]


def test_what_a_crash_left_is_not_listed_and_can_be_removed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise KernelError(12, "killed here")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", crash)
        with pytest.raises(KernelError):
            netns.create(root / "web")
    assert netns.list_(root) == ()
    assert len(list(root.iterdir())) == 1
    netns.remove_half_made(root)
    assert list(root.iterdir()) == []


def test_creating_over_what_a_crash_left(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(libc, "sethostname", lambda _: (_ for _ in ()).throw(KernelError(1, "hostname x")))
        with pytest.raises(KernelError, match="hostname x"):
            netns.create(root / "web", hostname="x")
    netns.create(root / "web", hostname="x")
    assert inside(root / "web", "hostname") == "x\n"
    assert [path.name for path in root.iterdir()] == ["web"]


def test_a_directory_without_its_mounts_is_made_anew(root: Path) -> None:
    """As after a reboot, where the root is not a tmpfs."""
    netns.create(root / "web")
    mount.remove_(root / "web/net")
    netns.create(root / "web")
    assert netns.identity(root / "web/net")


def test_removal_is_immediate_even_if_another_mount_namespace_holds_a_copy(root: Path) -> None:
    netns.create(root / "web")
    other = subprocess.Popen(["unshare", "--mount", "sh", "-c", "echo ready; read _"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"ready\n"
    mountinfo = Path(f"/proc/{other.pid}/mountinfo")
    try:
        assert "nsfs" in mountinfo.read_text(encoding="utf-8")
        netns.remove(root / "web")
        assert "nsfs" not in [found.fstype for found in mount.list_(mountinfo) if str(root) in found.target]
    finally:
        other.communicate(b"\n")


def test_removing_what_is_absent_is_fine(root: Path) -> None:
    netns.remove(root / "nobody")
    netns.create(root / "web")
    netns.remove(root / "web")
    netns.remove(root / "web")
    assert netns.list_(root) == ()


def test_identity_is_the_same_by_every_path(root: Path) -> None:
    netns.create(root / "a")
    netns.create(root / "b")
    (root / "link").symlink_to(root / "a/net")
    assert netns.identity(root / "link") == netns.identity(root / "a/net")
    assert netns.identity(root / "a/net") != netns.identity(root / "b/net")


def test_the_nodes_own_namespace_is_recognised(root: Path) -> None:
    netns.create(root / "web")
    assert netns.is_own("/proc/self/ns/net")
    assert netns.is_own(f"/proc/{os.getppid()}/ns/net")
    assert not netns.is_own(root / "web/net")


@pytest.mark.parametrize("path", ["/etc/hostname", "/proc/self/ns/uts", "/dev/null", "/", "/proc/self/status"])
def test_what_is_no_network_namespace_is_refused(path: str) -> None:
    with pytest.raises(InvalidObject, match=f"{path} is not a network namespace"):
        netns.identity(path)


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InvalidObject):
        netns.identity(tmp_path / "fifo")


def test_an_absent_path_is_not_found() -> None:
    with pytest.raises(NotFound, match="network namespace /run/netns/nobody does not exist"):
        netns.identity("/run/netns/nobody")


def test_a_thread_visits_and_returns(root: Path) -> None:
    netns.create(root / "web")
    home = os.readlink("/proc/thread-self/ns/net")
    fd = netns.open_network(root / "web/net")
    with netns.entered(fd):
        assert identity(Path("/proc/thread-self/ns/net")) == netns.identity(root / "web/net")
    assert os.readlink("/proc/thread-self/ns/net") == home
    with pytest.raises(ZeroDivisionError), netns.entered(fd):
        raise ZeroDivisionError
    os.close(fd)
    assert os.readlink("/proc/thread-self/ns/net") == home
