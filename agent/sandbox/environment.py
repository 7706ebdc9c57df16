"""The environment of a container's programs: from its env list, the pod's own fields, and the node's room. Pure.

Values of other objects (ConfigMaps, Secrets) are not read here: what refers to them is left out and told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from agent.objects.container import Container, EnvVar, ResourceFieldSelector
from agent.objects.meta import IPAddress
from agent.objects.pod import Pod
from agent.objects.quantity import Quantity

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
_KEYED_FIELD = re.compile(r"metadata\.(labels|annotations)\['([^']*)'\]")


def environment(
    pod: Pod, container: Container, *, defaults: Mapping[str, str], wanted: Mapping[str, str], room: Mapping[str, Quantity]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """With a warning for each variable that is missing. `wanted` wins over all; `room` is what the node has for pods."""
    known = {"PATH": _DEFAULT_PATH, "HOSTNAME": pod.spec.hostname or pod.metadata.name, **defaults}
    warnings = [f"spec.containers[{container.name}].envFrom is not supported: its variables are missing"] if container.env_from else []
    for variable in container.env:
        value = _value(pod, container, variable, known, room)
        if value is None:
            warnings.append(f"spec.containers[{container.name}].env[{variable.name}].valueFrom is not supported: the variable is missing")
        else:
            known[variable.name] = value
    return {**known, **wanted}, tuple(warnings)


def expand(text: str, known: Mapping[str, str]) -> str:
    """$(NAME) is replaced if the name is known; $$ is one dollar."""

    def replace(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else known.get(match[1], match[0])

    return _REFERENCE.sub(replace, text)


def _value(pod: Pod, container: Container, variable: EnvVar, known: Mapping[str, str], room: Mapping[str, Quantity]) -> str | None:
    source = variable.value_from
    if source is None:
        return expand(variable.value, known)
    if source.field_ref is not None:
        return field(pod, source.field_ref.field_path)
    if source.resource_field_ref is not None:
        return resource_field(pod, container, source.resource_field_ref, room)
    return None


def field(pod: Pod, path: str) -> str | None:
    """A field of the pod by its downward name; a label that is not there is empty, as in Kubernetes. None: no such field."""
    keyed = _KEYED_FIELD.fullmatch(path)
    if keyed is not None:
        return {"labels": pod.metadata.labels, "annotations": pod.metadata.annotations}[keyed[1]].get(keyed[2], "")
    status = pod.status
    return {
        "metadata.name": pod.metadata.name,
        "metadata.namespace": pod.metadata.namespace,
        "metadata.uid": pod.metadata.uid,
        "spec.nodeName": pod.spec.node_name,
        "spec.serviceAccountName": pod.spec.service_account_name or "default",
        "status.hostIP": _joined([status.host_ip] if status.host_ip else []),
        "status.hostIPs": _joined([entry.ip for entry in status.host_ips]),
        "status.podIP": _joined([status.pod_ip] if status.pod_ip else []),
        "status.podIPs": _joined([entry.ip for entry in status.pod_ips]),
    }.get(path)


def resource_field(pod: Pod, default: Container, reference: ResourceFieldSelector, room: Mapping[str, Quantity]) -> str | None:
    """In whole divisors, rounded up. What has no limit may use all the room there is. None: no such container."""
    containers = (*pod.spec.containers, *pod.spec.init_containers)
    container = next((c for c in containers if c.name == reference.container_name), None) if reference.container_name else default
    if container is None:
        return None
    side, _, name = reference.resource.partition(".")
    own, nothing = container.resources, Quantity(0)
    amount = own.effective_requests.get(name, nothing) if side == "requests" else own.limits.get(name) or room.get(name, nothing)
    divisor = reference.divisor.nano if reference.divisor is not None and reference.divisor.nano else 10**9
    return str(-(-amount.nano // divisor))


def _joined(addresses: Sequence[IPAddress]) -> str:
    return ",".join(str(address) for address in addresses)
