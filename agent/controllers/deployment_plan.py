"""From a Deployment and the pods of its namespace to the list of changes that brings it one step on. Pure.

Ownership follows Kubernetes: a pod is ours if its controller reference has our uid; one that our selector no longer
matches is let go; an orphan is adopted only if the selector matches and it carries a pod-template-hash, that is,
if it once was some Deployment's. A pod that a user made by hand is never taken over, whatever its labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from agent.controllers import deployment_status, rollout
from agent.controllers.action import Action, Create, Update, deletion, named
from agent.controllers.replica import (
    Replica,
    controller_of,
    controller_reference,
    new_pod,
    replica,
)
from agent.errors import InvalidObject
from agent.objects.deployment import TEMPLATE_HASH_LABEL, Deployment, template_hash
from agent.objects.meta import OwnerReference
from agent.objects.pod import Pod


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in the order in which they are submitted: create, let go, delete, and what is said about it."""

    actions: tuple[Action, ...]
    again_after_s: float | None = None

    def __str__(self) -> str:
        return "\n".join(str(action) for action in self.actions)


def plan(deployment: Deployment, pods: Iterable[Pod], now: datetime, suffixes: Iterator[str]) -> Plan:
    """`pods`: all of the namespace. `suffixes`: an endless supply of random name endings."""
    _refuse_strange_selector(deployment)
    nearby = list(pods)
    wanted = template_hash(deployment.spec.template)
    adopted = [pod for pod in nearby if _is_to_adopt(deployment, pod)]
    owned = [pod for pod in nearby if _is_owned(deployment, pod)]
    released = [pod for pod in owned if not _belongs(deployment, pod) and not pod.is_being_deleted]
    mine = [*(pod for pod in owned if pod not in released), *adopted]

    ending = [pod for pod in mine if pod.is_being_deleted]
    replicas = [
        replica(pod, wanted, deployment.spec.min_ready_seconds, now) for pod in mine if not pod.is_being_deleted and not pod.is_finished
    ]
    step = rollout.Step()
    if not deployment.is_being_deleted:
        ending_old = sum(pod.metadata.labels.get(TEMPLATE_HASH_LABEL) != wanted for pod in ending)
        step = rollout.step(deployment.spec, replicas, ending_old)
    going = {victim.replica.pod.metadata.name for victim in step.victims}
    return Plan(
        (
            *_creations(deployment, wanted, step.create, suffixes, {pod.metadata.name for pod in nearby}),
            *(_adoption(deployment, pod) for pod in adopted if pod.metadata.name not in going),
            *(_release(deployment, pod) for pod in released),
            *(deletion(victim.replica.pod, victim.reason) for victim in step.victims),
            *_status_update(deployment, replicas, len(ending), now),
        ),
        _again_after_s(deployment, replicas, now),
    )


def _is_owned(deployment: Deployment, pod: Pod) -> bool:
    controller = controller_of(pod)
    return controller is not None and controller.uid == deployment.metadata.uid


def _belongs(deployment: Deployment, pod: Pod) -> bool:
    return TEMPLATE_HASH_LABEL in pod.metadata.labels and deployment.spec.selector.matches(pod.metadata.labels)


def _is_to_adopt(deployment: Deployment, pod: Pod) -> bool:
    is_free = controller_of(pod) is None and not pod.is_being_deleted and not pod.is_finished
    return is_free and not deployment.is_being_deleted and _belongs(deployment, pod)


def _creations(deployment: Deployment, wanted: str, count: int, suffixes: Iterator[str], taken: set[str]) -> Iterator[Create]:
    while count > 0:
        pod = new_pod(deployment, wanted, next(suffixes))
        if pod.metadata.name not in taken:
            taken.add(pod.metadata.name)
            count -= 1
            yield Create(pod)


def _adoption(deployment: Deployment, pod: Pod) -> Update:
    references = (*pod.metadata.owner_references, controller_reference(deployment))
    return Update(_with_owners(pod, references), f"adopt {named(pod.key)}")


def _release(deployment: Deployment, pod: Pod) -> Update:
    references = tuple(r for r in pod.metadata.owner_references if r.uid != deployment.metadata.uid)
    return Update(_with_owners(pod, references), f"release {named(pod.key)} (the selector no longer matches)")


def _with_owners(pod: Pod, references: tuple[OwnerReference, ...]) -> Pod:
    return replace(pod, metadata=replace(pod.metadata, owner_references=references))


def _status_update(deployment: Deployment, replicas: list[Replica], ending: int, now: datetime) -> Iterator[Update]:
    status = deployment_status.status(deployment, replicas, ending, now)
    if status != deployment.status:
        counts = f"{status.ready_replicas}/{deployment.spec.replicas} ready, {status.updated_replicas} up to date"
        yield Update(replace(deployment, status=status), f"update status of {named(deployment.key)}: {counts}")


def _again_after_s(deployment: Deployment, replicas: list[Replica], now: datetime) -> float | None:
    """Time alone makes a ready pod available, and a rollout late."""
    wait = timedelta(seconds=deployment.spec.min_ready_seconds)
    moments = [(r.ready_since + wait - now).total_seconds() for r in replicas if r.ready_since and not r.is_available]
    deadline_s = deployment_status.deadline_in_s(deployment, now)
    return min([*moments, *([] if deadline_s is None else [deadline_s])], default=None)


def _refuse_strange_selector(deployment: Deployment) -> None:
    """Else every pod would be let go as soon as it was made, and another made in its place."""
    labels = deployment.spec.template.metadata.labels
    if deployment.spec.selector.is_empty or not deployment.spec.selector.matches(labels):
        raise InvalidObject(
            f"{deployment.key}: spec.selector does not match spec.template.metadata.labels",
            hint="give the template the labels that the selector asks for",
        )
