"""The leak check sees what a careless test leaves, and only that."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import leaks

pytestmark = pytest.mark.kernel


def run(*command: str) -> None:
    subprocess.run(command, check=True)


@contextmanager
def left_behind(make: str, undo: str) -> Iterator[None]:
    run("sh", "-c", make)
    try:
        yield
    finally:
        run("sh", "-c", undo)


@pytest.mark.parametrize(
    ("make", "undo", "line"),
    [
        ("ip link add left type veth peer name left2", "ip link delete left", "link: left"),
        ("nft add table inet left", "nft delete table inet left", "nft table: table inet left"),
        ("mkdir -p /run/left && mount -t tmpfs left /run/left", "umount /run/left", "mount: /run/left (tmpfs)"),
        ("mkdir /run/podwright", "rmdir /run/podwright", "file: /run/podwright"),
        ("ip netns add left", "ip netns delete left && umount /run/netns", "network namespace: left"),
    ],
)
def test_what_is_left_is_named(make: str, undo: str, line: str) -> None:
    before = leaks.snapshot()
    with left_behind(make, undo):
        assert line in leaks.added(before, patience=0)
    assert leaks.added(before) == []


def test_a_process_of_this_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(leaks.RUN_VARIABLE, "the test of the leak check")
    before = leaks.snapshot()
    process = subprocess.Popen(["sleep", "60"])
    try:
        assert f"process: {process.pid} sleep 60" in leaks.added(before, patience=0)
    finally:
        process.kill()
        process.wait()
    assert leaks.added(before) == []


def test_what_is_just_going_is_given_time(tmp_path: Path) -> None:
    before = leaks.snapshot()
    run("sh", "-c", f"mount -t tmpfs going {tmp_path}; (sleep 0.3; umount {tmp_path}) >/dev/null 2>&1 &")
    assert leaks.added(before, patience=5) == []
