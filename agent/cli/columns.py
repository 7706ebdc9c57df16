"""What a table shows of an object, per kind: the columns kubectl's users know. Pure.

A pod's READY and STATUS are honest: containers are not started by this agent, so a pod whose network and volumes
stand is "0/1 Sandboxed" and never "Running". A pod that cannot get that far shows the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agent.api.client import Document
from agent.cli.terminal import age

SANDBOXED = "Sandboxed"
NONE = "<none>"


@dataclass(frozen=True, slots=True)
class Column:
    """`is_wide`: only with -o wide."""

    title: str
    text: Callable[[Document], str]
    is_wide: bool = False


def at(document: Any, path: str, default: Any = "") -> Any:
    """The value at a dotted path, or the default."""
    for step in path.split("."):
        if not isinstance(document, dict) or step not in document:
            return default
        document = document[step]
    return document


def columns(kind: str, *, is_wide: bool) -> list[Column]:
    """The columns between NAME and AGE come from the kind; other kinds have none."""
    chosen = [_NAME, *_KINDS.get(kind, ()), _AGE] if kind != "Event" else [*_EVENT]
    return [column for column in sorted(chosen, key=lambda column: column.is_wide) if is_wide or not column.is_wide]


def pod_status(pod: Document) -> str:
    status = pod.get("status", {})
    phase = status.get("phase") or "Pending"
    if at(pod, "metadata.deletionTimestamp"):
        return "Terminating"
    if phase != "Pending":
        return str(status.get("reason") or phase)
    conditions = {condition["type"]: condition for condition in status.get("conditions", ())}
    if conditions.get("PodReadyToStartContainers", {}).get("status") == "True":
        return SANDBOXED
    for type_ in ("PodScheduled", "PodReadyToStartContainers"):
        condition = conditions.get(type_, {})
        if condition.get("status") == "False" and condition.get("reason"):
            return str(condition["reason"])
    return str(status.get("reason") or phase)


def pod_ready(pod: Document) -> str:
    ready = sum(bool(container.get("ready")) for container in at(pod, "status.containerStatuses", ()))
    return f"{ready}/{len(at(pod, 'spec.containers', ()))}"


def pod_restarts(pod: Document) -> str:
    return str(sum(container.get("restartCount", 0) for container in at(pod, "status.containerStatuses", ())))


def pod_addresses(pod: Document) -> str:
    return ",".join(address["ip"] for address in at(pod, "status.podIPs", ())) or at(pod, "status.podIP") or NONE


def node_status(node: Document) -> str:
    ready = next((condition for condition in at(node, "status.conditions", ()) if condition["type"] == "Ready"), None)
    word = {"True": "Ready", "False": "NotReady"}.get(ready["status"], "Unknown") if ready else "Unknown"
    return f"{word},SchedulingDisabled" if at(node, "spec.unschedulable", False) else word


def _node_addresses(node: Document) -> str:
    return ",".join(entry["address"] for entry in at(node, "status.addresses", ()) if entry["type"] == "InternalIP") or NONE


def _allocatable(resource: str) -> Callable[[Document], str]:
    return lambda node: str(at(node, f"status.allocatable.{resource}") or at(node, f"status.capacity.{resource}") or NONE)


def _text(path: str, default: str = NONE) -> Callable[[Document], str]:
    return lambda document: str(at(document, path) or default)


def _count(path: str) -> Callable[[Document], str]:
    return lambda document: str(at(document, path, 0))


def _list(path: str) -> Callable[[Document], str]:
    return lambda document: ",".join(str(item) for item in at(document, path, ())) or NONE


def _count_of(path: str) -> Callable[[Document], str]:
    return lambda document: str(len(at(document, path, ())))


def _condition(type_: str) -> Callable[[Document], str]:
    def text(document: Document) -> str:
        found = next((entry for entry in at(document, "status.conditions", ()) if entry["type"] == type_), None)
        return NONE if found is None else str(found["status"] if found["status"] == "True" else found.get("reason") or found["status"])

    return text


def _images(path: str) -> Callable[[Document], str]:
    return lambda document: ",".join(container.get("image", NONE) for container in at(document, path, ())) or NONE


def selector_text(selector: Document) -> str:
    labels = [f"{key}={value}" for key, value in sorted(selector.get("matchLabels", {}).items())]
    expressions = [
        f"{entry['key']} {entry['operator']} ({','.join(entry.get('values', ()))})" for entry in selector.get("matchExpressions", ())
    ]
    return ",".join([*labels, *expressions]) or NONE


def _service_ports(service: Document) -> str:
    return ",".join(f"{port.get('port')}/{port.get('protocol', 'TCP')}" for port in at(service, "spec.ports", ())) or NONE


def _event_object(event: Document) -> str:
    involved = event.get("involvedObject") or event.get("regarding") or {}
    return f"{str(involved.get('kind', '')).lower()}/{involved.get('name', '')}"


def _event_age(event: Document) -> str:
    last = age(event.get("lastTimestamp") or event.get("eventTime") or at(event, "metadata.creationTimestamp"))
    count = event.get("count", 1)
    return f"{last} (x{count} over {age(event.get('firstTimestamp'))})" if count > 1 else last


_NAME = Column("NAME", _text("metadata.name"))
_AGE = Column("AGE", lambda document: age(at(document, "metadata.creationTimestamp")))

_EVENT = (
    Column("LAST SEEN", _event_age),
    Column("TYPE", _text("type")),
    Column("REASON", _text("reason")),
    Column("OBJECT", _event_object),
    Column("MESSAGE", lambda event: " ".join(str(event.get("message", "")).split())),
)

_ENFORCED = Column("ENFORCED", _condition("Enforced"), is_wide=True)
_CALICO_POLICY = (
    Column("TIER", _text("spec.tier", "default")),
    Column("ORDER", _text("spec.order")),
    Column("SELECTOR", _text("spec.selector", "all()"), is_wide=True),
    _ENFORCED,
)
_NETS = Column("NETS", _count_of("spec.nets"))

_KINDS: dict[str, Sequence[Column]] = {
    "Pod": (
        Column("READY", pod_ready),
        Column("STATUS", pod_status),
        Column("RESTARTS", pod_restarts),
        Column("IP", pod_addresses, is_wide=True),
        Column("NODE", _text("spec.nodeName"), is_wide=True),
    ),
    "Deployment": (
        Column("READY", lambda d: f"{at(d, 'status.readyReplicas', 0)}/{at(d, 'spec.replicas', 1)}"),
        Column("UP-TO-DATE", _count("status.updatedReplicas")),
        Column("AVAILABLE", _count("status.availableReplicas")),
        Column("IMAGES", _images("spec.template.spec.containers"), is_wide=True),
        Column("SELECTOR", lambda d: selector_text(at(d, "spec.selector", {})), is_wide=True),
    ),
    "Namespace": (
        Column("STATUS", lambda d: "Terminating" if at(d, "metadata.deletionTimestamp") else str(at(d, "status.phase") or "Active")),
    ),
    "Node": (
        Column("STATUS", node_status),
        Column("CPU", _allocatable("cpu")),
        Column("MEMORY", _allocatable("memory")),
        Column("PODS", _allocatable("pods")),
        Column("INTERNAL-IP", _node_addresses, is_wide=True),
        Column("POD-CIDRS", _list("spec.podCIDRs"), is_wide=True),
        Column("KERNEL", _text("status.nodeInfo.kernelVersion"), is_wide=True),
        Column("OS-IMAGE", _text("status.nodeInfo.osImage"), is_wide=True),
    ),
    "Service": (
        Column("TYPE", _text("spec.type", "ClusterIP")),
        Column("CLUSTER-IP", _text("spec.clusterIP")),
        Column("PORT(S)", _service_ports),
    ),
    "NetworkPolicy": (
        Column("POD-SELECTOR", lambda d: selector_text(at(d, "spec.podSelector", {}))),
        Column("TYPES", _list("spec.policyTypes"), is_wide=True),
        _ENFORCED,
    ),
    "CalicoNetworkPolicy": _CALICO_POLICY,
    "GlobalNetworkPolicy": _CALICO_POLICY,
    "ClusterNetworkPolicy": (Column("TIER", _text("spec.tier")), Column("PRIORITY", _count("spec.priority")), _ENFORCED),
    "Tier": (Column("ORDER", _text("spec.order")), Column("DEFAULT-ACTION", _text("spec.defaultAction", "Deny"))),
    "NetworkSet": (_NETS,),
    "GlobalNetworkSet": (_NETS,),
    "Profile": (Column("LABELS", _count_of("spec.labelsToApply"), is_wide=True),),
    "PersistentVolume": (
        Column("CAPACITY", _text("spec.capacity.storage")),
        Column("ACCESS MODES", _list("spec.accessModes")),
        Column("RECLAIM POLICY", _text("spec.persistentVolumeReclaimPolicy", "Retain")),
        Column("STATUS", _text("status.phase", "Available")),
        Column("CLAIM", lambda d: "/".join(filter(None, (at(d, "spec.claimRef.namespace"), at(d, "spec.claimRef.name")))) or NONE),
        Column("STORAGECLASS", _text("spec.storageClassName", "")),
    ),
    "PersistentVolumeClaim": (
        Column("STATUS", _text("status.phase", "Pending")),
        Column("VOLUME", _text("spec.volumeName", "")),
        Column("CAPACITY", _text("status.capacity.storage", "")),
        Column("ACCESS MODES", _list("spec.accessModes")),
        Column("STORAGECLASS", _text("spec.storageClassName", "")),
    ),
    "StorageClass": (
        Column("PROVISIONER", _text("provisioner")),
        Column("RECLAIMPOLICY", _text("reclaimPolicy", "Delete")),
        Column("VOLUMEBINDINGMODE", _text("volumeBindingMode", "Immediate")),
    ),
    "ConfigMap": (Column("DATA", lambda d: str(len(d.get("data", {})) + len(d.get("binaryData", {})))),),
    "Secret": (Column("TYPE", _text("type", "Opaque")), Column("DATA", lambda d: str(len(d.get("data", {}))))),
    "Attachment": (
        Column("POD", lambda d: "/".join(filter(None, (at(d, "pod.namespace"), at(d, "pod.name")))) or NONE),
        Column("ADDRESSES", _list("addresses")),
        Column("INTERFACE", _text("ifname")),
        Column("HOST-LINK", _text("hostIfname")),
        Column("MAC", _text("mac"), is_wide=True),
        Column("CONTAINER", _text("containerID"), is_wide=True),
        Column("NETNS", _text("netns.path"), is_wide=True),
    ),
}
