"""Requests and limits as cgroup settings, and where the controllers are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.errors import Unsupported
from agent.kernel import mount
from agent.kernel.cgroup import CgroupLimits, Cgroups, Layout, Resources, detect, limits

V1 = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
"""


def test_a_pod_asks_for_the_sum_of_its_containers() -> None:
    made = limits([Resources(250, 500, 64 << 20), Resources(None, 1500, 64 << 20)], pids=100)
    assert made == CgroupLimits(cpu_shares=1792, cpu_quota_us=200_000, memory_bytes=128 << 20, pids=100)


def test_one_container_without_a_limit_leaves_the_pod_without() -> None:
    made = limits([Resources(100, 500, 64 << 20), Resources(100, None, None)])
    assert (made.cpu_quota_us, made.memory_bytes) == (None, None)
    assert made.cpu_shares == 204


def test_the_smallest_and_the_largest() -> None:
    assert limits([Resources()]).cpu_shares == 2
    assert limits([Resources(cpu_limit_milli=1)]).cpu_quota_us == 1000
    assert limits([Resources(cpu_request_milli=10**9)]).cpu_shares == 1 << 18


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1024, 39), (1 << 18, 10_000)])
def test_version_2_weights(shares: int, weight: int) -> None:
    assert CgroupLimits(cpu_shares=shares).cpu_weight == weight


def test_version_1_controllers_may_share_a_tree() -> None:
    layout = detect(mount.parse(V1))
    assert layout.version == 1
    assert layout.trees["cpu"] == layout.trees["cpuacct"] == Path("/sys/fs/cgroup/cpu,cpuacct")
    assert len(Cgroups(layout).join_files("podx")) == 3


def test_version_2_is_taken_if_it_has_what_is_needed(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids\n", encoding="ascii")
    layout = detect(mount.parse(f"31 23 0:28 / {tmp_path} rw,nosuid - cgroup2 cgroup2 rw\n"))
    assert (layout.version, layout.trees["memory"]) == (2, tmp_path)


def test_a_machine_without_a_controller_is_told(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("hugetlb\n", encoding="ascii")
    text = V1.replace("rw,pids", "rw,rdma") + f"41 31 0:38 / {tmp_path} rw,relatime - cgroup2 cgroup2 rw\n"
    with pytest.raises(Unsupported, match="no cgroup controller pids"):
        detect(mount.parse(text))


def test_version_2_settings(tmp_path: Path) -> None:
    """A directory of plain files stands for the kernel's: what is written and read back is what counts."""
    group = tmp_path / "podwright" / "podx"
    group.mkdir(parents=True)
    for name in ("cpu.weight", "cpu.max", "memory.max", "pids.max", "../cgroup.subtree_control", "../../cgroup.subtree_control"):
        (group / name).touch()
    cgroups = Cgroups(Layout(2, dict.fromkeys(("cpu", "cpuacct", "memory", "pids"), tmp_path)))
    cgroups.ensure_("podx", CgroupLimits(cpu_shares=1024, cpu_quota_us=50_000, memory_bytes=1 << 20))
    written = {name: (group / name).read_text(encoding="ascii") for name in ("cpu.weight", "cpu.max", "memory.max", "pids.max")}
    assert written == {"cpu.weight": "39", "cpu.max": "50000 100000", "memory.max": "1048576", "pids.max": "max"}
    assert (tmp_path / "cgroup.subtree_control").read_text(encoding="ascii") == "+cpu +memory +pids"
    (group / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1\n", encoding="ascii")
    (group / "memory.current").write_text("1000\n", encoding="ascii")
    (group / "memory.stat").write_text("anon 600\ninactive_file 400\n", encoding="ascii")
    (group / "pids.current").write_text("3\n", encoding="ascii")
    used = cgroups.usage("podx")
    assert (used.cpu_seconds, used.memory_bytes, used.pids) == (1.5, 600, 3)
    assert cgroups.list_() == ("podx",)
