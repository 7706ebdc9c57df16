"""What the node has and uses, against what the kernel's own files say."""

from __future__ import annotations

import os
from pathlib import Path

from agent.kernel import hostinfo


def test_capacity_is_the_machines() -> None:
    capacity = hostinfo.capacity()
    line = next(line for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines() if line.startswith("MemTotal:"))
    assert capacity.memory_bytes == int(line.split()[1]) * 1024
    assert capacity.cpus == os.cpu_count()


def test_usage_counts_work() -> None:
    before = hostinfo.usage()
    start = os.times().user
    while os.times().user - start < 0.05:
        pass
    after = hostinfo.usage()
    assert after.cpu_seconds - before.cpu_seconds >= 0.03
    assert 0 < after.memory_bytes < hostinfo.capacity().memory_bytes
    assert after.processes >= 1


def test_the_boot_has_a_name() -> None:
    assert len(hostinfo.boot_id()) == 36
    assert hostinfo.node_identity().boot_id == hostinfo.boot_id()
    assert hostinfo.node_identity().kernel == os.uname().release
