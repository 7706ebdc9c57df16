"""A node whose state directory lies on a full disk: it serves and deletes, starts again, and recovers when there is room."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import PodwrightError
from agent.kernel import mount
from tests.running import RunningAgent

pytestmark = pytest.mark.kernel

COUNT = 30


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[RunningAgent]:
    running = RunningAgent(tmp_path)
    running.state_dir.mkdir()
    mount.ensure_tmpfs(running.state_dir, data="mode=0755,size=32m")
    try:
        running.start()
        yield running
        running.clear()
    finally:
        mount.remove_(running.state_dir)


def pods(*numbers: int) -> str:
    spec = "{{terminationGracePeriodSeconds: 0, containers: [{{name: c}}]}}"
    one = "{{apiVersion: v1, kind: Pod, metadata: {{name: p{}}}, spec: " + spec + "}}\n---\n"
    return "".join(one.format(number) for number in numbers)


def fill(directory: Path) -> Path:
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 12))
        except OSError:
            assert os.statvfs(directory).f_bavail == 0
    return filler


def first_refusal(agent: RunningAgent) -> PodwrightError:
    for number in range(1000):
        written = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{number}"}, "data": {"a": "x" * 50_000}}
        try:
            agent.client.create("/api/v1/namespaces/default/configmaps", written)
        except PodwrightError as error:
            return error
    raise AssertionError("the disk is never full")


def test_a_full_disk_can_be_got_out_of(agent: RunningAgent) -> None:
    agent.apply(pods(*range(COUNT)))
    agent.wait_for_pods(COUNT)
    agent.cli("exec", "p0", "--", "true")
    filler = fill(agent.state_dir)

    # What is new is refused, once the log has no room left; what is there serves.
    refusal = first_refusal(agent)
    assert "disk is full" in refusal.message
    assert "podwright delete still works" in refusal.hint
    assert agent.cli("exec", "p0", "--", "echo", "hello") == "hello\n"
    assert "the disk is full" in agent.cli("exec", "p1", "--", "true", check=False)
    agent.cli("delete", "pod", "p0", "p1")

    # A start finds no room for its log either.
    agent.kill()
    fill(agent.state_dir)
    agent.start()
    agent.cli("delete", "pods", *(f"p{number}" for number in range(2, COUNT)))
    assert agent.client.get("/api/v1/namespaces/default/pods")["items"] == []
    agent.stop()
    fill(agent.state_dir)
    agent.start()

    # With room, everything works as before.
    agent.cli("delete", "configmaps", "--all")
    filler.unlink()
    agent.apply(pods(0))
    agent.wait_for_pods(1)
    assert (agent.state_dir / "podwright.db.reserve").exists()
