"""What the agent acts on, path by path; everything else in a typed object is kept, and said to be only kept.

The table grows with the features. A path covers all that is below it. `[]` is any element of a list.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_CONTAINER = (
    "name",
    "image",  # kept for the runtime there is not yet; the pod's status says so
    "command",
    "args",
    "workingDir",
    "ports",
    "env[].name",
    "env[].value",
    "env[].valueFrom.fieldRef",
    "env[].valueFrom.resourceFieldRef",
    "env[].valueFrom.configMapKeyRef",
    "env[].valueFrom.secretKeyRef",
    "envFrom",
    "volumeMounts",
    "volumeDevices",
    "resources.limits",
    "resources.requests",
    "securityContext.runAsUser",
    "securityContext.runAsGroup",
    "securityContext.runAsNonRoot",
    "securityContext.privileged",
    "securityContext.capabilities",
    "securityContext.readOnlyRootFilesystem",
    "securityContext.allowPrivilegeEscalation",
    "securityContext.procMount",
)

_POD_SPEC = (
    *(f"containers[].{path}" for path in _CONTAINER),
    *(f"initContainers[].{path}" for path in _CONTAINER if path != "ports"),
    "initContainers[].restartPolicy",  # Always: its resources count all the time
    "nodeName",
    "hostname",
    "subdomain",
    "setHostnameAsFQDN",
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "dnsPolicy",
    "dnsConfig",
    "hostAliases",
    "terminationGracePeriodSeconds",
    "overhead",
    "resources.limits",
    "resources.requests",
    "securityContext.runAsUser",
    "securityContext.runAsGroup",
    "securityContext.runAsNonRoot",
    "securityContext.supplementalGroups",
    "securityContext.fsGroup",
    "securityContext.fsGroupChangePolicy",
    "securityContext.sysctls",
    "volumes[].name",
    *(f"volumes[].{source}" for source in ("emptyDir", "hostPath", "configMap", "secret", "downwardAPI")),
    "volumes[].projected.defaultMode",
    *(f"volumes[].projected.sources[].{source}" for source in ("configMap", "secret", "downwardAPI")),
)

_TYPE = ("apiVersion", "kind", "metadata", "status")
_STORAGE_CLASS = (
    *_TYPE[:3],
    "provisioner",
    "parameters",
    "reclaimPolicy",
    "mountOptions",
    "allowVolumeExpansion",
    "volumeBindingMode",
    "allowedTopologies",
)


_POLICIES = ("NetworkPolicy", "CalicoNetworkPolicy", "GlobalNetworkPolicy", "ClusterNetworkPolicy")
_GLOBAL_POLICY_SPEC = (  # what is left out concerns host endpoints
    "tier",
    "order",
    "selector",
    "namespaceSelector",
    "serviceAccountSelector",
    "types",
    "ingress",
    "egress",
    "performanceHints",
)
_WITH_POLICIES = ("Tier", "NetworkSet", "GlobalNetworkSet", "Profile")

ACTED_ON: dict[str, frozenset[str]] = {
    **dict.fromkeys(_POLICIES, frozenset((*_TYPE, "spec"))),
    **dict.fromkeys(_WITH_POLICIES, frozenset((*_TYPE, "spec")) - {"status"}),
    "GlobalNetworkPolicy": frozenset((*_TYPE, *(f"spec.{path}" for path in _GLOBAL_POLICY_SPEC))),
    "ConfigMap": frozenset((*_TYPE[:3], "data", "binaryData", "immutable")),
    "Secret": frozenset((*_TYPE[:3], "type", "data", "stringData", "immutable")),
    "Namespace": frozenset((*_TYPE, "spec")),
    "Node": frozenset((*_TYPE, "spec.podCIDR", "spec.podCIDRs")),
    "Pod": frozenset((*_TYPE, *(f"spec.{path}" for path in _POD_SPEC))),
    "Deployment": frozenset(
        (
            *_TYPE,
            "spec.replicas",
            "spec.selector",
            "spec.strategy",
            "spec.minReadySeconds",
            "spec.paused",
            "spec.progressDeadlineSeconds",
            "spec.template.metadata",
            *(f"spec.template.spec.{path}" for path in _POD_SPEC),
        )
    ),
    "PersistentVolumeClaim": frozenset((*_TYPE, "spec")),
    "PersistentVolume": frozenset((*_TYPE, "spec")),
    "StorageClass": frozenset(_STORAGE_CLASS),
    "VolumeAttributesClass": frozenset((*_TYPE[:3], "driverName", "parameters")),
}


def not_enforced(kind: str, document: dict[str, Any]) -> list[str]:
    """The highest paths that are set and not acted on, one for each field, however many list elements have it."""
    acted_on = ACTED_ON[kind]
    above = {prefix for path in acted_on for prefix in _prefixes(path)}
    first: dict[str, str] = {}
    for pattern, path in _paths(document, "", "", acted_on, above):
        first.setdefault(pattern, path)
    return list(first.values())


def _prefixes(path: str) -> Iterator[str]:
    for index, letter in enumerate(path):
        if letter in ".[":
            yield path[:index]
        if letter == "]":
            yield path[: index + 1]


def _paths(value: Any, pattern: str, path: str, acted_on: frozenset[str], above: set[str]) -> Iterator[tuple[str, str]]:
    if pattern in acted_on:
        return
    if pattern and pattern not in above:
        yield pattern, path
    elif isinstance(value, dict):
        for name, inner in value.items():
            dot = "." if pattern else ""
            yield from _paths(inner, f"{pattern}{dot}{name}", f"{path}{dot}{name}", acted_on, above)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _paths(inner, f"{pattern}[]", f"{path}[{index}]", acted_on, above)
