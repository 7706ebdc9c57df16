"""What a pod's status says, from what is known of its sandbox. Pure.

No container runtime is part of the agent yet, and the status is honest about it: a pod whose sandbox stands has
PodReadyToStartContainers=True and stays in phase Pending with the reason NoContainerRuntime.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from agent.objects.attachment import Attachment
from agent.objects.meta import Condition, IPAddress
from agent.objects.pod import SANDBOXED_CONDITION, Pod
from agent.objects.pod_status import ContainerState, ContainerStateWaiting, ContainerStatus, PodIP, PodPhase, PodStatus

NO_RUNTIME = "NoContainerRuntime"
_NO_RUNTIME_MESSAGE = "the sandbox is ready; this node has no container runtime, use `podwright exec` to run processes in it"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a sandbox is not ready. `reason` is one CamelCase word, `is_scheduled` False when the pod does not fit."""

    reason: str
    message: str
    is_scheduled: bool = True


def ready(pod: Pod, addresses: Sequence[IPAddress], node_ips: Sequence[IPAddress], now: str) -> PodStatus:
    """The status of a pod whose sandbox stands."""
    conditions = (
        _condition(pod, now, "PodScheduled", True),
        _condition(pod, now, SANDBOXED_CONDITION, True),
        _condition(pod, now, "Ready", False, NO_RUNTIME, _NO_RUNTIME_MESSAGE),
    )
    return _status(pod, conditions, addresses, node_ips, now, NO_RUNTIME, _NO_RUNTIME_MESSAGE)


def not_ready(pod: Pod, problem: Problem, node_ips: Sequence[IPAddress], now: str) -> PodStatus:
    scheduled = _condition(
        pod, now, "PodScheduled", problem.is_scheduled, *(() if problem.is_scheduled else ("Unschedulable", problem.message))
    )
    sandboxed = _condition(pod, now, SANDBOXED_CONDITION, False, problem.reason, problem.message)
    conditions = (scheduled, sandboxed) if problem.is_scheduled else (scheduled,)
    return _status(pod, conditions, (), node_ips, now, problem.reason, problem.message)


def addresses_of(attachment: Attachment | None, pod: Pod, node_ips: Sequence[IPAddress]) -> tuple[IPAddress, ...]:
    """hostNetwork pods have the node's addresses."""
    if pod.spec.host_network:
        return tuple(node_ips)
    return attachment.addresses if attachment else ()


def _status(  # noqa: PLR0913, PLR0917 (the parts of one status)
    pod: Pod,
    conditions: tuple[Condition, ...],
    addresses: Sequence[IPAddress],
    node_ips: Sequence[IPAddress],
    now: str,
    reason: str,
    message: str,
) -> PodStatus:
    waiting = ContainerState(waiting=ContainerStateWaiting(reason=reason, message=message))
    return msgspec.structs.replace(
        pod.status,
        observed_generation=pod.metadata.generation,
        phase=PodPhase.PENDING,
        conditions=conditions,
        reason=reason,
        message=message,
        host_ip=node_ips[0] if node_ips else None,
        host_ips=tuple(PodIP(ip=ip) for ip in node_ips),
        pod_ip=addresses[0] if addresses else None,
        pod_ips=tuple(PodIP(ip=ip) for ip in addresses),
        start_time=pod.status.start_time or now,
        container_statuses=tuple(ContainerStatus(name=c.name, image=c.image, state=waiting) for c in pod.spec.containers),
    )


def _condition(pod: Pod, now: str, kind: str, is_true: bool, reason: str = "", message: str = "") -> Condition:  # noqa: PLR0913, PLR0917
    """lastTransitionTime moves only when the status does."""
    status = "True" if is_true else "False"
    old = next((c for c in pod.status.conditions if c.type == kind), None)
    since = old.last_transition_time if old is not None and old.status == status else now
    return Condition(type=kind, status=status, reason=reason, message=message, last_transition_time=since)
