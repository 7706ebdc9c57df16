"""This machine as a Node object. Pure: facts in, object out."""

from __future__ import annotations

import platform
from collections.abc import Sequence

import msgspec

from agent.kernel.hostinfo import NodeCapacity, NodeIdentity
from agent.objects.meta import Condition, IPAddress, IPNetwork, ObjectMeta
from agent.objects.node import HOSTNAME_LABEL, Node, NodeAddress, NodeAddressType, NodeSpec, NodeStatus, NodeSystemInfo
from agent.sandbox import capacity as resources

MODE_ANNOTATION = "podwright.io/network-mode"


def observed(  # noqa: PLR0913 (facts of one machine)
    name: str,
    *,
    capacity: NodeCapacity,
    identity: NodeIdentity,
    addresses: Sequence[IPAddress],
    pod_cidrs: Sequence[IPNetwork],
    mode: str,
    now: str,
) -> Node:
    total = resources.capacity(capacity.cpus, capacity.memory_bytes)
    return Node(
        metadata=ObjectMeta(
            name=name,
            labels={HOSTNAME_LABEL: name, "kubernetes.io/os": "linux", "kubernetes.io/arch": _architecture()},
            annotations={MODE_ANNOTATION: mode},
        ),
        spec=NodeSpec(pod_cidr=pod_cidrs[0] if pod_cidrs else None, pod_cidrs=tuple(pod_cidrs)),
        status=NodeStatus(
            capacity=total.quantities(),
            allocatable=resources.allocatable(total).quantities(),
            conditions=(
                Condition(type="Ready", status="True", reason="AgentReady", message="podwright is serving", last_transition_time=now),
            ),
            addresses=(
                *(NodeAddress(type=NodeAddressType.INTERNAL_IP, address=str(ip)) for ip in addresses),
                NodeAddress(type=NodeAddressType.HOSTNAME, address=name),
            ),
            node_info=NodeSystemInfo(
                machine_id=identity.machine_id,
                boot_id=identity.boot_id,
                kernel_version=identity.kernel,
                os_image=identity.os_image,
                operating_system="linux",
                architecture=_architecture(),
            ),
        ),
    )


def merged(stored: Node, seen: Node) -> Node:
    """What users wrote on the Node (labels, taints) stays; what is observed is replaced."""
    metadata = msgspec.structs.replace(
        stored.metadata,
        labels={**stored.metadata.labels, **seen.metadata.labels},
        annotations={**stored.metadata.annotations, **seen.metadata.annotations},
    )
    spec = msgspec.structs.replace(stored.spec, pod_cidr=seen.spec.pod_cidr, pod_cidrs=seen.spec.pod_cidrs)
    return msgspec.structs.replace(stored, metadata=metadata, spec=spec, status=seen.status)


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
