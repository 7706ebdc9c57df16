"""A writer is killed at every commit, before and after: what was acknowledged is there, and nothing is there by half."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.objects.pod import Pod
from agent.store.sqlite import SqliteStore

STEPS = 6

WRITER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from agent.store.sqlite import SqliteStore
from tests.unit.store.sample import labelled, pod

directory, threads, steps = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
store = SqliteStore(directory / "db")

def write(thread):
    with open(directory / f"acknowledged-{thread}", "a", buffering=1) as acknowledged:
        current = store.create(labelled(pod(f"p{thread}"), step="0"))
        print(0, file=acknowledged)
        for step in range(1, steps):
            current = store.update(labelled(current, step=str(step)))
            print(step, file=acknowledged)

with ThreadPoolExecutor(threads) as pool:
    list(pool.map(write, range(threads)))
store.close()
"""


def run_writer(directory: Path, threads: int, kill_at: int) -> int:
    command = [sys.executable, "-c", WRITER, str(directory), str(threads), str(STEPS)]
    environment = {**os.environ, "PODWRIGHT_KILL_AT": str(kill_at), "PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.run(command, env=environment, check=False).returncode


def acknowledged(directory: Path, thread: int) -> int:
    file = directory / f"acknowledged-{thread}"
    lines = file.read_text().split() if file.exists() else []
    return int(lines[-1]) if lines else -1


def steps_found(directory: Path, threads: int) -> tuple[dict[int, int], int, list[int]]:
    """The step each thread's pod is at, the store's version, and the versions of the pods."""
    with SqliteStore(directory / "db") as store:
        listed, version = store.list("Pod")
        assert all(isinstance(thing, Pod) for thing in listed)
        found = {int(thing.metadata.name[1:]): int(thing.metadata.labels["step"]) for thing in listed}
        return {thread: found.get(thread, -1) for thread in range(threads)}, version, [int(t.metadata.resource_version) for t in listed]


@pytest.mark.spawns
@pytest.mark.parametrize("kill_at", range(1, 2 * STEPS + 1))
def test_one_writer_killed_at_each_point(tmp_path: Path, kill_at: int) -> None:
    assert run_writer(tmp_path, 1, kill_at) == -9
    before_or_after = (kill_at - 1) % 2
    committed = (kill_at - 1) // 2 + before_or_after - 1
    found, version, _ = steps_found(tmp_path, 1)
    assert acknowledged(tmp_path, 0) == (kill_at - 1) // 2 - 1
    assert found[0] == committed
    assert version == committed + 1


@pytest.mark.spawns
@pytest.mark.parametrize("kill_at", [1, 2, 5, 8])
def test_many_writers_killed_together_lose_nothing_they_were_told(tmp_path: Path, kill_at: int) -> None:
    assert run_writer(tmp_path, 8, kill_at) == -9
    found, version, versions = steps_found(tmp_path, 8)
    for thread, step in found.items():
        assert acknowledged(tmp_path, thread) <= step <= acknowledged(tmp_path, thread) + 1
    assert version == sum(step + 1 for step in found.values()), "a version without its write, or the other way round"
    assert max(versions, default=0) == version


@pytest.mark.spawns
def test_a_writer_that_is_left_alone_finishes(tmp_path: Path) -> None:
    assert run_writer(tmp_path, 2, 0) == 0
    assert steps_found(tmp_path, 2)[0] == {0: STEPS - 1, 1: STEPS - 1}
