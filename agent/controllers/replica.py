"""One pod of a Deployment: how it is made from the template, and what the rollout needs to know of it.

Pods are owned by the Deployment itself; the label pod-template-hash says which template they come from, so no
ReplicaSet is needed in between. A pod counts as ready when its sandbox and network stand
(PodReadyToStartContainers=True), because no containers are started yet that could say more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from agent.objects.deployment import TEMPLATE_HASH_LABEL, Deployment
from agent.objects.meta import Condition, ObjectMeta, OwnerReference
from agent.objects.names import LONGEST_PREFIX, random_suffix
from agent.objects.pod import SANDBOXED_CONDITION, Pod
from agent.objects.pod_status import PodPhase

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_PHASE_RANK = {None: 0, PodPhase.PENDING: 0, PodPhase.UNKNOWN: 1, PodPhase.RUNNING: 2}


@dataclass(frozen=True, slots=True)
class Replica:
    """`ready_since` None: not ready. `is_available`: ready for at least minReadySeconds."""

    pod: Pod
    is_new: bool
    ready_since: datetime | None
    is_available: bool

    @property
    def is_ready(self) -> bool:
        return self.ready_since is not None


def replica(pod: Pod, wanted_hash: str, min_ready_seconds: int, now: datetime) -> Replica:
    since = _ready_since(pod)
    is_available = since is not None and (now - since).total_seconds() >= min_ready_seconds
    return Replica(pod, pod.metadata.labels.get(TEMPLATE_HASH_LABEL) == wanted_hash, since, is_available)


def suffixes(random: Random) -> Iterator[str]:
    while True:
        yield random_suffix(random)


def new_pod(deployment: Deployment, wanted_hash: str, suffix: str) -> Pod:
    template = deployment.spec.template
    prefix = f"{deployment.metadata.name}-{wanted_hash}"[: LONGEST_PREFIX - 1]
    metadata = ObjectMeta(
        name=f"{prefix}-{suffix}",
        namespace=deployment.metadata.namespace,
        labels={**template.metadata.labels, TEMPLATE_HASH_LABEL: wanted_hash},
        annotations=template.metadata.annotations,
        finalizers=template.metadata.finalizers,
        owner_references=(controller_reference(deployment),),
    )
    return Pod(metadata=metadata, spec=template.spec)


def controller_reference(deployment: Deployment) -> OwnerReference:
    return OwnerReference(
        api_version=deployment.api_version,
        kind=deployment.kind,
        name=deployment.metadata.name,
        uid=deployment.metadata.uid,
        controller=True,
        block_owner_deletion=True,
    )


def controller_of(pod: Pod) -> OwnerReference | None:
    return next((reference for reference in pod.metadata.owner_references if reference.controller), None)


def deletion_rank(candidate: Replica) -> tuple[int, int, bool, int, float, int, float, str]:
    """Kubernetes' order of whom to miss least, first: without a node, not running, not ready, cheap by annotation,
    ready since recently, often restarted, young."""
    pod = candidate.pod
    restarts = sum(status.restart_count for status in pod.status.container_statuses)
    ready_at = candidate.ready_since.timestamp() if candidate.ready_since else 0.0
    created = pod.metadata.creation_timestamp
    created_at = datetime.fromisoformat(created).timestamp() if created else 0.0
    return (
        1 if pod.spec.node_name else 0,
        _PHASE_RANK.get(pod.status.phase, 2),
        candidate.is_ready,
        _deletion_cost(pod),
        -ready_at,
        -restarts,
        -created_at,
        pod.metadata.name,
    )


def _ready_since(pod: Pod) -> datetime | None:
    condition = _ready_condition(pod)
    if condition is None or condition.status != "True":
        return None
    since = condition.last_transition_time or pod.metadata.creation_timestamp
    return datetime.fromisoformat(since) if since else _LONG_AGO


def _ready_condition(pod: Pod) -> Condition | None:
    return next((condition for condition in pod.status.conditions if condition.type == SANDBOXED_CONDITION), None)


def _deletion_cost(pod: Pod) -> int:
    """What is not a number costs nothing, as in Kubernetes."""
    try:
        return int(pod.metadata.annotations.get(DELETION_COST, "0"))
    except ValueError:
        return 0
