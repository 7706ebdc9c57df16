"""Groups of a pod: limits that are enforced, members that can be ended."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from agent.errors import KernelError
from agent.kernel import cgroup, process
from agent.kernel.cgroup import CgroupLimits, Cgroups

pytestmark = pytest.mark.kernel
POD = "pod0001"
Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def cgroups() -> Iterator[Cgroups]:
    groups = Cgroups(cgroup.detect(), f"podwright-test-{os.getpid()}")
    yield groups
    for name in groups.list_():
        groups.remove_(name)
    groups.remove_parent()


@pytest.fixture
def start(cgroups: Cgroups) -> Iterator[Start]:
    """Start a shell line as a member of the pod's group."""
    started: list[subprocess.Popen[str]] = []

    def begin(line: str) -> subprocess.Popen[str]:
        join = "".join(f"echo 0 > {file};" for file in cgroups.join_files(POD))
        child = subprocess.Popen(["sh", "-c", join + line], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(child)
        return child

    yield begin
    process.end_all(lambda: cgroups.processes(POD), grace_s=0)
    for child in started:
        child.communicate()


def test_a_group_can_be_made_changed_and_removed_any_number_of_times(cgroups: Cgroups) -> None:
    for limits in (CgroupLimits(pids=5), CgroupLimits(cpu_shares=512, cpu_quota_us=20_000, memory_bytes=32 << 20), CgroupLimits()):
        cgroups.ensure_(POD, limits)
        cgroups.ensure_(POD, limits)
    assert cgroups.list_() == (POD,)
    assert cgroups.processes(POD) == ()
    cgroups.remove_(POD)
    cgroups.remove_(POD)
    assert cgroups.list_() == ()


def test_the_pids_limit_stops_a_fork(cgroups: Cgroups, start: Start) -> None:
    cgroups.ensure_(POD, CgroupLimits(pids=3))
    _, errors = start("sleep 60 >&- 2>&- & sleep 60 >&- 2>&- & sleep 60 & wait").communicate(timeout=10)
    assert "Cannot fork" in errors
    assert len(cgroups.processes(POD)) == 2
    assert cgroups.usage(POD).pids == 2


def test_the_memory_limit_kills(cgroups: Cgroups, start: Start) -> None:
    cgroups.ensure_(POD, CgroupLimits(memory_bytes=24 << 20))
    child = start("exec python3 -I -S -c 'x = bytearray(200 << 20)'")
    child.communicate(timeout=30)
    assert child.returncode == -9


def test_the_cpu_quota_slows(cgroups: Cgroups, start: Start) -> None:
    cgroups.ensure_(POD, CgroupLimits(cpu_quota_us=20_000))
    start("while :; do :; done")
    before = cgroups.usage(POD).cpu_seconds
    time.sleep(1)
    assert 0.05 < cgroups.usage(POD).cpu_seconds - before < 0.35


def test_usage_counts_the_members_memory(cgroups: Cgroups, start: Start) -> None:
    cgroups.ensure_(POD, CgroupLimits())
    child = start("exec python3 -I -S -c 'x = bytearray(40 << 20); print(1, flush=True); input()' 2>&1 < /dev/zero")
    assert child.stdout is not None
    child.stdout.readline()
    assert 40 << 20 <= cgroups.usage(POD).memory_bytes <= 80 << 20


def test_a_group_with_members_is_not_removed(cgroups: Cgroups, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "_REMOVE_DEADLINE_S", 0.05)
    cgroups.ensure_(POD, CgroupLimits())
    child = start("echo ready; sleep 60")
    assert child.stdout is not None
    child.stdout.readline()
    with pytest.raises(KernelError, match=r"`rmdir .*/pod0001`: device or resource busy \[EBUSY\] \(processes are left in it\)"):
        cgroups.remove_(POD)


def test_members_that_listen_to_term_get_the_time(cgroups: Cgroups, start: Start) -> None:
    cgroups.ensure_(POD, CgroupLimits())
    child = start("trap 'sleep 0.2; echo cleaned up; exit 0' TERM; echo ready; while :; do sleep 0.05; done")
    assert child.stdout is not None
    child.stdout.readline()
    started = time.monotonic()
    assert process.end_all(lambda: cgroups.processes(POD), grace_s=10) == 0
    assert time.monotonic() - started < 5
    assert child.communicate()[0] == "cleaned up\n"


def test_members_that_do_not_are_killed_after_the_grace_period(cgroups: Cgroups, start: Start) -> None:
    cgroups.ensure_(POD, CgroupLimits())
    child = start("trap '' TERM; echo ready; while :; do sleep 0.05; done")
    assert child.stdout is not None
    child.stdout.readline()
    started = time.monotonic()
    assert process.end_all(lambda: cgroups.processes(POD), grace_s=0.3) >= 1
    assert 0.3 <= time.monotonic() - started < 5
    assert cgroups.processes(POD) == ()
    cgroups.remove_(POD)


def test_a_number_that_was_reused_by_a_stranger_is_left_alone() -> None:
    """The list names a process that is no member when it is looked at again, with the process held."""
    stranger = subprocess.Popen(["sleep", "60"])
    answers = iter([[stranger.pid], []])
    try:
        assert process.end_all(lambda: next(answers, []), grace_s=0) == 0
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
