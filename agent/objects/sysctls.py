"""Kernel settings that a pod may ask for (securityContext.sysctls): those that belong to its own namespaces.

Everything else would change the node for all. A name is written with dots or with slashes; the separator that comes
first decides, so that net/ipv4/conf/eth0.7/rp_filter can name a device with a dot in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from agent.objects.security import Sysctl

_SYNTAX = re.compile(r"[a-z0-9]([-_a-z0-9]*[a-z0-9])?([./][a-z0-9]([-_a-z0-9]*[a-z0-9])?)*", re.ASCII)
_IPC = re.compile(r"kernel/(shm|msg)[^/]*|kernel/sem|fs/mqueue/.+", re.ASCII)
_VALUE = re.compile(r"[\t -~]{1,255}", re.ASCII)


def proc_path(name: str) -> str:
    """Below /proc/sys."""
    slash, dot = name.find("/"), name.find(".")
    is_dotted = dot >= 0 and (slash < 0 or dot < slash)
    return name.translate(str.maketrans("./", "/.")) if is_dotted else name


def namespace_of(name: str) -> Literal["net", "ipc"] | None:
    """The kind of namespace that the setting belongs to; None when it is the whole node's."""
    path = proc_path(name)
    if path.startswith("net/"):
        return "net"
    return "ipc" if _IPC.fullmatch(path) else None


def sysctl_problems(sysctl: Sysctl, path: str, *, host_network: bool, host_ipc: bool) -> Iterator[str]:
    name = sysctl.name
    if not _SYNTAX.fullmatch(name):
        yield f'{path}.name: "{name}" is not a sysctl, write for example net.core.somaxconn'
        return
    namespace = namespace_of(name)
    if namespace is None:
        yield f"{path}.name: {name} belongs to the whole node: a pod may set net.*, kernel.shm*, kernel.msg*, kernel.sem and fs.mqueue.*"
    elif namespace == "net" and host_network:
        yield f"{path}.name: {name} would be the node's own, because hostNetwork is true"
    elif namespace == "ipc" and host_ipc:
        yield f"{path}.name: {name} would be the node's own, because hostIPC is true"
    if not _VALUE.fullmatch(sysctl.value):
        yield f"{path}.value: must be one line of 1 to 255 printable ASCII characters"
