"""A class's iops hold for the pod's programs, on the device its volume has."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.kernel.io_limits import IoLimits, Limit, rules
from tests.kernel.test_volume_pods import built, delete, pod, run
from tests.running import RunningAgent

pytestmark = [pytest.mark.kernel, pytest.mark.needs("mkfs.ext4", "/dev/loop-control")]


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[RunningAgent]:
    running = RunningAgent(tmp_path)
    running.start()
    yield running
    running.clear()


def test_operations_a_second_are_what_was_asked_for(agent: RunningAgent) -> None:
    if IoLimits()._parent is None:
        pytest.skip("needs a cgroup controller blkio or io")
    volume = {"driver": "csi.podwright.io", "volumeAttributes": {"size": "32Mi", "iops": "200"}}
    built(agent, pod("slow", {"name": "data", "csi": volume}))
    write = "dd if=/dev/zero of=/data/f bs=4k count={} oflag=direct status=none"
    run(agent, "slow", write.format(64))
    start = time.monotonic()
    run(agent, "slow", write.format(600))
    assert 600 / (time.monotonic() - start) < 220
    delete(agent, "slow")


def test_rules_in_the_kernels_words() -> None:
    assert rules(2, Limit("7:3", iops=5)) == (("io.max", "7:3 riops=5 wiops=5 rbps=max wbps=max"),)
    assert dict(rules(1, Limit("7:3", 0, 1024)))["blkio.throttle.write_bps_device"] == "7:3 1024"
