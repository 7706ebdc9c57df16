"""What a Deployment's status says, from its replicas. Pure.

The reasons of the conditions are Kubernetes' words ("NewReplicaSetAvailable" too, though there is no ReplicaSet
here), because rollout tools look for exactly these.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from agent.controllers.replica import Replica
from agent.controllers.rollout import limits
from agent.objects.deployment import Deployment, DeploymentStatus
from agent.objects.meta import Condition, timestamp

READY_MEANS = "a pod counts as ready when its sandbox and network stand; no containers are started"
COMPLETE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"
_PAUSED = "DeploymentPaused"
_MOVING = "ReplicaSetUpdated"


def status(deployment: Deployment, replicas: Sequence[Replica], ending: int, now: datetime) -> DeploymentStatus:
    """`replicas` are those not ending."""
    available = sum(r.is_available for r in replicas)
    counted = replace(
        deployment.status,
        observed_generation=deployment.metadata.generation,
        replicas=len(replicas),
        updated_replicas=sum(r.is_new for r in replicas),
        ready_replicas=sum(r.is_ready for r in replicas),
        available_replicas=available,
        unavailable_replicas=max(max(len(replicas), deployment.spec.replicas) - available, 0),
        terminating_replicas=ending,
    )
    conditions = (_available(deployment, counted, now), _progressing(deployment, counted, now))
    kept = tuple(c for c in deployment.status.conditions if c.type not in ("Available", "Progressing"))
    return replace(counted, conditions=conditions + kept)


def is_complete(deployment: Deployment, counted: DeploymentStatus) -> bool:
    return counted.updated_replicas == counted.replicas == counted.available_replicas == deployment.spec.replicas


def deadline_in_s(deployment: Deployment, now: datetime) -> float | None:
    """Seconds until a rollout under way is late; None when none is, or it already is."""
    progressing = condition(deployment.status, "Progressing")
    if progressing is None or progressing.reason != _MOVING or progressing.last_update_time is None:
        return None
    return max(_left_s(deployment, progressing.last_update_time, now), 0.0)


def condition(found: DeploymentStatus, kind: str) -> Condition | None:
    return next((c for c in found.conditions if c.type == kind), None)


def _available(deployment: Deployment, counted: DeploymentStatus, now: datetime) -> Condition:
    if counted.available_replicas >= limits(deployment.spec).least:
        return _condition(deployment, "Available", "True", "MinimumReplicasAvailable", f"enough pods are available; {READY_MEANS}", now)
    return _condition(deployment, "Available", "False", "MinimumReplicasUnavailable", f"too few pods are available; {READY_MEANS}", now)


def _progressing(deployment: Deployment, counted: DeploymentStatus, now: datetime) -> Condition:
    """Nothing is late once the template was rolled out: a pod that fails later is no failed rollout."""
    if deployment.spec.paused:
        return _condition(deployment, "Progressing", "Unknown", _PAUSED, "the rollout is paused", now)
    if is_complete(deployment, counted):
        return _condition(deployment, "Progressing", "True", COMPLETE, "every pod is up to date and available", now)
    before = condition(deployment.status, "Progressing")
    if before is None or _has_moved(deployment.status, counted):
        moving = _condition(deployment, "Progressing", "True", _MOVING, "pods are being created, replaced or waited for", now)
        return replace(moving, last_update_time=timestamp(now))
    if before.reason == _MOVING and before.last_update_time and _left_s(deployment, before.last_update_time, now) <= 0:
        late = f"nothing has changed for {deployment.spec.progress_deadline_seconds} s"
        return _condition(deployment, "Progressing", "False", TIMED_OUT, late, now)
    if before.reason == _PAUSED:
        return _condition(deployment, "Progressing", "True", _MOVING, "the rollout goes on", now)
    return before


def _has_moved(before: DeploymentStatus, now: DeploymentStatus) -> bool:
    old_before, old_now = before.replicas - before.updated_replicas, now.replicas - now.updated_replicas
    return (
        now.observed_generation != before.observed_generation
        or now.updated_replicas > before.updated_replicas
        or old_now < old_before
        or now.ready_replicas > before.ready_replicas
        or now.available_replicas > before.available_replicas
    )


def _left_s(deployment: Deployment, since: str, now: datetime) -> float:
    return deployment.spec.progress_deadline_seconds - (now - datetime.fromisoformat(since)).total_seconds()


def _condition(deployment: Deployment, kind: str, value: str, reason: str, message: str, now: datetime) -> Condition:  # noqa: PLR0913, PLR0917
    """As it was, if it says the same; lastTransitionTime moves only when the status does."""
    before = condition(deployment.status, kind)
    if before is not None and (before.status, before.reason) == (value, reason):
        return before
    since = before.last_transition_time if before is not None and before.status == value else timestamp(now)
    return Condition(type=kind, status=value, reason=reason, message=message, last_transition_time=since, last_update_time=timestamp(now))
