"""The fence around unit tests holds, also for root. Every test here runs inside it, as all of tests/unit do."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guard import Touched

ATTEMPTS: dict[str, Callable[[], object]] = {
    "a child process": lambda: subprocess.run(["true"], check=True),
    "a shell": lambda: os.system("true"),
    "a fork": os.fork,
    "a netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "a file in /etc": lambda: Path("/etc/podwright-guard").write_text("x"),
    "a setting": lambda: Path("/proc/sys/net/ipv4/ip_forward").write_text("1"),
    "a directory in /run": lambda: Path("/run/podwright-guard").mkdir(),
    "removing from /var": lambda: Path("/var/lib/podwright-guard").unlink(),
}


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS.keys())
def test_the_machine_is_out_of_reach(attempt: Callable[[], object]) -> None:
    with pytest.raises(Touched):
        attempt()


def test_code_that_catches_everything_does_not_swallow_it() -> None:
    def careless() -> None:
        try:
            subprocess.run(["true"], check=True)
        except Exception:  # noqa: BLE001 - the point of the test
            return

    with pytest.raises(Touched):
        careless()


def test_a_raw_system_call_is_refused_by_the_kernel() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mount(b"none", b"/mnt", b"tmpfs", 0, None) == -1
    assert ctypes.get_errno() == errno.EPERM


@pytest.mark.spawns
def test_a_child_that_is_allowed_has_no_privilege_either() -> None:
    status = subprocess.run(["grep", "CapEff", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
    assert status == "CapEff:\t0000000000000000\n"


def test_its_own_directory_and_unix_sockets_are_free(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
