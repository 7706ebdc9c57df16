"""A pod's requests and limits as the plain numbers of its cgroup. Pure."""

from __future__ import annotations

from agent.kernel import cgroup
from agent.kernel.cgroup import CgroupLimits, Resources
from agent.objects.container import Container
from agent.objects.pod import Pod
from agent.objects.quantity import Quantity

PODS_PIDS_LIMIT = 4096
"""A fork bomb in one pod must not take the node's process numbers."""


def limits(pod: Pod) -> CgroupLimits:
    return cgroup.limits([_of(container) for container in pod.spec.containers], pids=PODS_PIDS_LIMIT)


def _of(container: Container) -> Resources:
    wanted = container.resources
    return Resources(
        cpu_request_milli=_milli(wanted.requests.get("cpu")),
        cpu_limit_milli=_milli(wanted.limits.get("cpu")),
        memory_limit_bytes=_whole(wanted.limits.get("memory")),
    )


def _milli(quantity: Quantity | None) -> int | None:
    return None if quantity is None else quantity.milli


def _whole(quantity: Quantity | None) -> int | None:
    return None if quantity is None else quantity.whole
