"""Requests and limits as cgroup settings, and where the controllers are found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.errors import Unsupported
from agent.kernel import mount
from agent.kernel.cgroup import CgroupLimits, Cgroups, Layout, detect
from agent.objects.decode import decode
from agent.objects.pod import Pod
from agent.sandbox.resources import PODS_PIDS_LIMIT, limits

V1 = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
"""


GIB = 1 << 30


def of(containers: list[dict[str, Any]], init: list[dict[str, Any]] = [], **spec: Any) -> CgroupLimits:  # noqa: B006
    """The cgroup of a pod whose containers have these resources; an init container may have a restartPolicy beside."""

    def named(prefix: str, number: int, written: dict[str, Any]) -> dict[str, Any]:
        policy = {"restartPolicy": written["restartPolicy"]} if "restartPolicy" in written else {}
        return {"name": f"{prefix}{number}", "resources": {k: v for k, v in written.items() if k != "restartPolicy"}, **policy}

    lists = {
        "containers": [named("c", n, c) for n, c in enumerate(containers)],
        "initContainers": [named("i", n, c) for n, c in enumerate(init)],
    }
    (found,) = decode(
        json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {**lists, **spec}}), source="test"
    )
    assert isinstance(found.object, Pod)
    return limits(found.object)


def test_a_pod_has_the_sum_of_its_containers() -> None:
    one = {"requests": {"cpu": "250m"}, "limits": {"cpu": "500m", "memory": "64Mi"}}
    made = of([one, {"limits": {"cpu": "1500m", "memory": "64Mi"}}])
    assert made == CgroupLimits(cpu_shares=1792, cpu_quota_us=200_000, memory_bytes=128 << 20, pids=PODS_PIDS_LIMIT)


def test_one_container_without_a_limit_leaves_the_pod_without() -> None:
    made = of([{"requests": {"cpu": "100m"}, "limits": {"cpu": "500m", "memory": "64Mi"}}, {"requests": {"cpu": "100m"}}])
    assert (made.cpu_quota_us, made.memory_bytes) == (None, None)
    assert made.cpu_shares == 204


def test_the_smallest_and_the_largest() -> None:
    assert of([{}]).cpu_shares == 2
    assert of([{"limits": {"cpu": "1m"}}]).cpu_quota_us == 1000
    assert of([{"requests": {"cpu": "1000000"}}]).cpu_shares == 1 << 18


def test_init_containers_count_when_they_need_more_at_their_turn() -> None:
    app, small, large = ({"limits": {"cpu": "1", "memory": size}} for size in ("1Gi", "64Mi", "2Gi"))
    assert of([app], [small]).memory_bytes == GIB
    assert of([app], [small, large]).memory_bytes == 2 * GIB
    assert of([app], [small, {}]).memory_bytes is None


def test_sidecars_count_beside_the_containers_and_beside_later_init_containers() -> None:
    app, sidecar = {"limits": {"cpu": "1", "memory": "1Gi"}}, {"limits": {"cpu": "500m", "memory": "1Gi"}, "restartPolicy": "Always"}
    init = {"limits": {"cpu": "1", "memory": "3Gi"}}
    assert of([app], [sidecar]) == CgroupLimits(cpu_shares=1536, cpu_quota_us=150_000, memory_bytes=2 * GIB, pids=PODS_PIDS_LIMIT)
    assert of([app], [sidecar, init]).memory_bytes == 4 * GIB
    assert of([app], [init, sidecar]).memory_bytes == 3 * GIB


def test_a_pods_own_resources_replace_the_sum_and_overhead_comes_on_top() -> None:
    assert of([{}], resources={"limits": {"memory": "1Gi"}}).memory_bytes == GIB
    assert of([{"limits": {"memory": "1Gi"}}], overhead={"memory": "1Gi"}).memory_bytes == 2 * GIB
    assert of([{}], overhead={"memory": "1Gi"}).memory_bytes is None


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
