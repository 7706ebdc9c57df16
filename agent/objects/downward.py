"""What a pod may learn about itself, in variables and files (the downward API). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from agent.errors import InvalidObject
from agent.objects.container import Container, ResourceFieldSelector
from agent.objects.pod import Pod
from agent.objects.quantity import Quantity

_INDEXED = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"})


Room = Mapping[str, Quantity]
"""What the node has for pods: it stands in for a limit that a container does not have."""


def field(pod: Pod, path: str) -> str | None:
    """The field at `path` as one value; None for a path that names no such field."""
    if (indexed := _INDEXED.fullmatch(path)) is not None:
        values: Mapping[str, str] = pod.metadata.labels if indexed[1] == "labels" else pod.metadata.annotations
        return values.get(indexed[2], "")
    status = pod.status
    known = {
        "metadata.name": pod.metadata.name,
        "metadata.namespace": pod.metadata.namespace,
        "metadata.uid": pod.metadata.uid,
        "spec.nodeName": pod.spec.node_name,
        "spec.serviceAccountName": pod.spec.service_account_name or "default",
        "status.hostIP": str(status.host_ip or ""),
        "status.hostIPs": ",".join(str(entry.ip) for entry in status.host_ips),
        "status.podIP": str(status.pod_ip or ""),
        "status.podIPs": ",".join(str(entry.ip) for entry in status.pod_ips),
    }
    return known.get(path)


def file_field(pod: Pod, path: str) -> str:
    """As `field`; files may also hold all labels or annotations, one a line. Raises InvalidObject."""
    if path in ("metadata.labels", "metadata.annotations"):
        values = pod.metadata.labels if path == "metadata.labels" else pod.metadata.annotations
        return "\n".join(f'{key}="{value.translate(_ESCAPES)}"' for key, value in sorted(values.items()))
    value = field(pod, path)
    if value is None:
        raise InvalidObject(f"downward API: there is no field {path}")
    return value


def resource(pod: Pod, reference: ResourceFieldSelector, container_name: str, room: Room) -> str:
    """A container's request or limit in units of the divisor, rounded up; a limit that is not set is what the node has."""
    container = _container(pod, reference.container_name or container_name)
    kind, _, name = reference.resource.partition(".")
    amounts = {"limits": container.resources.limits, "requests": container.resources.effective_requests}.get(kind)
    if amounts is None or name not in ("cpu", "memory", "ephemeral-storage"):
        raise InvalidObject(f"downward API: there is no resource {reference.resource}")
    amount = amounts.get(name)
    if amount is None and kind == "limits":
        amount = room.get(name)
    amount = amount or Quantity(0)
    divisor = reference.divisor.nano if reference.divisor is not None and reference.divisor.nano else 10**9
    return str(-(-amount.nano // divisor))


def _container(pod: Pod, name: str) -> Container:
    for container in (*pod.spec.containers, *pod.spec.init_containers):
        if container.name == name:
            return container
    raise InvalidObject(f"downward API: the pod has no container {name}")
