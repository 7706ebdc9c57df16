"""What kinds of namespace a pod has of its own, and the kernel settings it asks for in them (securityContext.sysctls).

Settings are written after the network is attached, so that they may name the pod's interface and win over our own; and
again whenever the pod is looked at, so that a start that died between the two is made good. Which names a pod may
use is in objects/sysctls.py. A setting that this kernel does not have in a namespace of its own is an error.
"""

from __future__ import annotations

from pathlib import Path

from agent.kernel import netns, sysctl
from agent.kernel.sysctl import Sysctl
from agent.objects.pod import Pod
from agent.objects.sysctls import proc_path


def namespace_kinds(pod: Pod) -> tuple[str, ...]:
    shared = {"net": pod.spec.host_network, "ipc": pod.spec.host_ipc}
    return tuple(kind for kind in ("net", "uts", "ipc") if not shared.get(kind))


def wanted(pod: Pod) -> tuple[Sysctl, ...]:
    return tuple(Sysctl(proc_path(each.name), each.value) for each in pod.spec.security_context.sysctls)


def ensure(pod: Pod, directory: Path) -> None:
    """`directory` holds the pod's namespaces. Raises KernelError that names the setting."""
    settings = wanted(pod)
    if not settings:
        return
    with netns.inside(directory, [kind for kind in namespace_kinds(pod) if kind != "uts"]):
        for setting in settings:
            _ensure(setting)


def _ensure(setting: Sysctl) -> None:
    """The kernel separates several numbers by tabs, people by spaces."""
    if (sysctl.read(setting.name) or "").split() != setting.value.split():
        sysctl.write(setting)
