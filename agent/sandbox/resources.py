"""A pod's requests and limits as the plain numbers of its cgroup. Pure.

They are summed up as for scheduling (sandbox/capacity.py). A sum of limits is one only if every container has its own:
one without, an init container too, leaves the pod without.
"""

from __future__ import annotations

from agent.kernel import cgroup
from agent.kernel.cgroup import CgroupLimits
from agent.objects.pod import Pod
from agent.sandbox import capacity

PODS_PIDS_LIMIT = 4096
"""A fork bomb in one pod must not take the node's process numbers."""


def limits(pod: Pod) -> CgroupLimits:
    overhead = pod.spec.overhead
    most = capacity.counted(pod, lambda resources: resources.limits)
    cpu = most.cpu_milli + (overhead["cpu"].milli if "cpu" in overhead else 0)
    memory = most.memory_bytes + (overhead["memory"].whole if "memory" in overhead else 0)
    return cgroup.limits(
        cpu_request_milli=capacity.requests(pod).cpu_milli,
        cpu_limit_milli=cpu if _is_limited(pod, "cpu") else None,
        memory_limit_bytes=memory if _is_limited(pod, "memory") else None,
        pids=PODS_PIDS_LIMIT,
    )


def _is_limited(pod: Pod, name: str) -> bool:
    spec = pod.spec
    if spec.resources is not None and name in spec.resources.limits:
        return True
    limits_of_all = (container.resources.limits.get(name) for container in (*spec.containers, *spec.init_containers))
    return all(limit is not None and limit.nano > 0 for limit in limits_of_all)
