"""The throw-away node itself. Tried from inside one: boxes can be nested."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BOX = ROOT / "scripts/box"
pytestmark = pytest.mark.kernel


def box(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BOX, *arguments], capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)


def sh(script: str, *options: str) -> str:
    result = box(*options, "--", "sh", "-c", script)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(("command", "status"), [("exit 7", 7), ("true", 0), ("kill -KILL $$", 137)])
def test_the_exit_status_is_the_commands(command: str, status: int) -> None:
    assert box("--", "sh", "-c", command).returncode == status


def test_a_missing_command_is_named() -> None:
    result = box("--", "/no/such/command")
    assert (result.returncode, result.stderr) == (127, "scripts/box: cannot run /no/such/command: no such file or directory\n")


def test_the_node_is_called_node_1_and_knows_its_name() -> None:
    assert sh("hostname; getent hosts node-1").split() == ["node-1", "127.0.1.1", "node-1"]


@pytest.mark.parametrize("address", ["192.0.2.1", "198.51.100.1", "2001:db8::1", "2001:db8:1::1"])
def test_outside_answers(address: str) -> None:
    assert "1 received" in sh(f"ping -c1 -W2 {address}")


def test_outside_can_be_entered_both_ways() -> None:
    assert "segment" in sh(f"{BOX} --outside -- ip -br link; nsenter --net=$PODWRIGHT_OUTSIDE ip -br address show segment")


def test_nodes_reach_each_other_and_each_can_be_entered() -> None:
    text = sh(f"ping -c1 -W2 192.0.2.13; ping -c1 -W2 2001:db8::12; {BOX} --node 3 -- hostname", "--nodes", "3")
    assert text.count("1 received") == 2
    assert text.splitlines()[-1] == "node-3"


def test_a_command_on_another_node_is_in_its_cgroups() -> None:
    assert "/.." not in sh(f"{BOX} --node 2 -- cat /proc/self/cgroup", "--nodes", "2")


def test_what_is_written_to_the_system_is_forgotten() -> None:
    paths = ["/etc/podwright-mark", "/usr/local/podwright-mark", "/var/lib/podwright/mark", "/run/mark", "/opt/mark"]
    sh("touch " + " ".join(paths))
    assert [path for path in paths if Path(path).exists()] == []


def test_orphans_are_reaped() -> None:
    assert "Z" not in sh("(sh -c 'sleep 0.1 & exec sleep 0.2' &); sleep 0.5; ps -eo stat=")


def test_the_root_is_shared_so_that_mounts_propagate() -> None:
    assert sh("findmnt -no PROPAGATION /").strip() == "shared"


def test_cgroups_are_visible_and_its_own() -> None:
    assert sh("cat /proc/self/cgroup | grep -v ':/$' | grep -v ':/init$' || true") == ""


def test_killing_the_script_ends_everything() -> None:
    mark = f"podwright-test-{os.getpid()}"
    process = subprocess.Popen([BOX, "--", "sh", "-c", f"exec -a {mark} sleep 300 || sleep 300 #{mark}"], stdin=subprocess.DEVNULL)
    cgroups = f"podwright-box-{process.pid}"
    wait_until(lambda: bool(running(mark)) and bool(list(Path("/sys/fs/cgroup").rglob(cgroups))))
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not running(mark) and not list(Path("/sys/fs/cgroup").rglob(cgroups)))


def running(mark: str) -> list[str]:
    return [path.name for path in Path("/proc").glob("[0-9]*") if mark.encode() in read(path / "cmdline")]


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def wait_until(condition, seconds: float = 10.0) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
