"""What a plan says, read as text."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from agent.controllers.action import Create, Delete, Update
from agent.controllers.replica import controller_reference, deletion_rank, new_pod, replica, suffixes
from agent.errors import InvalidObject
from agent.objects.container import Container
from agent.objects.deployment import TEMPLATE_HASH_LABEL, Deployment, DeploymentStatus, template_hash
from agent.objects.meta import ObjectMeta, OwnerReference
from agent.objects.pod import Pod, PodSpec, PodTemplateSpec
from agent.objects.pod_status import ContainerStatus, PodPhase
from agent.objects.selector import LabelSelector
from tests.unit.controllers.worlds import START, deployment, plan, ready, seconds, template, verbs

HASH = template_hash(template())


def pods(wanted: Deployment, count: int, hash_: str = HASH) -> list[Pod]:
    return [ready(new_pod(wanted, hash_, f"{hash_[:2]}{n}")) for n in range(count)]


def changed(pod: Pod, **metadata: Any) -> Pod:
    return replace(pod, metadata=replace(pod.metadata, **metadata))


def test_a_new_deployment() -> None:
    planned = plan(deployment(2))
    name = f"web-{HASH}"
    assert [text.rsplit("-", 1)[0] for text in verbs(planned)] == [f"create pod {name}", f"create pod {name}"]
    assert str(planned).splitlines()[-1] == "update status of deployment web: 0/2 ready, 0 up to date"


def test_a_created_pod_says_whose_it_is() -> None:
    wanted = replace(
        deployment(1),
        spec=replace(
            deployment(1).spec,
            template=replace(
                template(), metadata=ObjectMeta(labels={"app": "web", "tier": "x"}, annotations={"a": "b"}, finalizers=("example.com/f",))
            ),
        ),
    )
    first = plan(wanted).actions[0]
    assert isinstance(first, Create)
    pod = first.new
    assert isinstance(pod, Pod)
    assert pod.metadata.labels == {"app": "web", "tier": "x", TEMPLATE_HASH_LABEL: template_hash(wanted.spec.template)}
    assert pod.metadata.annotations == {"a": "b"}
    assert pod.metadata.finalizers == ("example.com/f",)
    assert pod.metadata.owner_references == (
        OwnerReference(api_version="apps/v1", kind="Deployment", name="web", uid="uid-web", controller=True, block_owner_deletion=True),
    )
    assert pod.spec == wanted.spec.template.spec


def test_names_do_not_collide_and_fit_a_host_name() -> None:
    wanted = changed_name(deployment(3), "w" * 80)
    first = next(suffixes(Random(1)))
    taken = new_pod(wanted, HASH, first)
    names = [a.new.metadata.name for a in plan(wanted, [changed(taken, owner_references=())]).actions if isinstance(a, Create)]
    assert taken.metadata.name not in names
    assert len(set(names)) == len(names)
    assert {len(name) for name in names} == {63}


def changed_name(wanted: Deployment, name: str) -> Deployment:
    return replace(wanted, metadata=replace(wanted.metadata, name=name))


def test_the_hash_follows_the_meaning_of_a_template() -> None:
    a = PodTemplateSpec(metadata=ObjectMeta(labels={"a": "1", "b": "2"}), spec=PodSpec(containers=(Container(name="c"),)))
    b = PodTemplateSpec(metadata=ObjectMeta(labels={"b": "2", "a": "1"}), spec=PodSpec(containers=(Container(name="c", image=""),)))
    c = PodTemplateSpec(metadata=ObjectMeta(labels={"a": "1", "b": "2"}), spec=PodSpec(containers=(Container(name="c", image="x"),)))
    assert template_hash(a) == template_hash(b) != template_hash(c)


def test_nothing_to_do_is_an_empty_plan() -> None:
    wanted = deployment(2)
    first = plan(wanted, pods(wanted, 2))
    (status,) = [a for a in first.actions if isinstance(a, Update)]
    assert isinstance(status.changed, Deployment)
    again = plan(status.changed, pods(wanted, 2))
    assert again.actions == ()
    assert again.again_after_s is None


def test_status_counts() -> None:
    wanted = deployment(4, min_ready_seconds=10)
    old = ready(new_pod(wanted, "old", "old1"), since=START)
    warm = ready(new_pod(wanted, HASH, "new1"), since=START)
    fresh = ready(new_pod(wanted, HASH, "new2"), since=START + seconds(15))
    cold = new_pod(wanted, HASH, "new3")
    ending = changed(new_pod(wanted, "old", "old2"), deletion_timestamp="2026-01-01T00:00:00Z")
    planned = plan(wanted, [old, warm, fresh, cold, ending], now=START + seconds(20))
    status = next(a.changed.status for a in planned.actions if isinstance(a, Update) and isinstance(a.changed, Deployment))
    assert (status.replicas, status.updated_replicas, status.ready_replicas) == (4, 3, 3)
    assert (status.available_replicas, status.unavailable_replicas, status.terminating_replicas) == (2, 2, 1)
    assert status.observed_generation == 1
    assert planned.again_after_s == 5, "the fresh pod becomes available then, and nobody else would tell"


def status_after(wanted: Deployment, found: Sequence[Pod], after_s: float = 0) -> DeploymentStatus:
    planned = plan(wanted, found, now=START + seconds(after_s))
    return next((a.changed.status for a in planned.actions if isinstance(a, Update) and isinstance(a.changed, Deployment)), wanted.status)


def reasons(status: DeploymentStatus) -> dict[str, tuple[str, str]]:
    return {c.type: (c.status, c.reason) for c in status.conditions}


def test_conditions_through_a_rollout() -> None:
    wanted = deployment(2, progress_deadline_seconds=60)
    begun = replace(wanted, status=status_after(wanted, []))
    assert reasons(begun.status) == {"Available": ("False", "MinimumReplicasUnavailable"), "Progressing": ("True", "ReplicaSetUpdated")}
    assert "sandbox and network stand; no containers are started" in begun.status.conditions[0].message
    assert plan(begun, []).again_after_s == 60

    late = replace(wanted, status=status_after(begun, [], 61))
    assert reasons(late.status)["Progressing"] == ("False", "ProgressDeadlineExceeded")

    done = replace(wanted, status=status_after(late, pods(wanted, 2), 90))
    assert reasons(done.status) == {"Available": ("True", "MinimumReplicasAvailable"), "Progressing": ("True", "NewReplicaSetAvailable")}

    broken = replace(wanted, status=status_after(done, pods(wanted, 1), 500))
    assert reasons(broken.status) == {
        "Available": ("False", "MinimumReplicasUnavailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }, "a pod lost later is no failed rollout"

    again = replace(broken, metadata=replace(broken.metadata, generation=2), spec=replace(broken.spec, template=template("v2")))
    assert reasons(status_after(again, pods(wanted, 2), 501))["Progressing"] == ("True", "ReplicaSetUpdated")


def test_a_paused_deployment_says_so() -> None:
    wanted = deployment(2, paused=True)
    paused = status_after(wanted, pods(wanted, 2, "old"))
    assert reasons(paused)["Progressing"] == ("Unknown", "DeploymentPaused")
    resumed = replace(wanted, status=paused, spec=replace(wanted.spec, paused=False))
    assert reasons(status_after(resumed, pods(wanted, 2, "old")))["Progressing"] == ("True", "ReplicaSetUpdated")


@pytest.mark.parametrize(
    ("pod", "is_adopted"),
    [
        (lambda p: p, True),
        (lambda p: changed(p, labels={"app": "web"}), False),  # made by hand: it never was a Deployment's
        (lambda p: changed(p, labels={"app": "other", TEMPLATE_HASH_LABEL: HASH}), False),
        (lambda p: changed(p, deletion_timestamp="2026-01-01T00:00:00Z"), False),
        (lambda p: replace(p, status=replace(p.status, phase=PodPhase.FAILED)), False),
        (lambda p: changed(p, owner_references=(replace(controller_reference(deployment()), uid="another"),)), False),
        (lambda p: changed(p, owner_references=(replace(controller_reference(deployment()), uid="another", controller=False),)), True),
    ],
)
def test_adoption(pod: Any, is_adopted: bool) -> None:
    wanted = deployment(1)
    orphan = pod(changed(ready(new_pod(wanted, HASH, "orphn")), owner_references=()))
    said = verbs(plan(wanted, [orphan]))
    assert (said == [f"adopt pod {orphan.metadata.name}"]) is is_adopted
    assert any(text.startswith("create pod") for text in said) is not is_adopted


def test_an_adopted_pod_keeps_its_other_owners() -> None:
    wanted = deployment(1)
    other = OwnerReference(api_version="v1", kind="Node", name="n", uid="u")
    (adopt, *_) = plan(wanted, [changed(new_pod(wanted, HASH, "orphn"), owner_references=(other,))]).actions
    assert isinstance(adopt, Update)
    assert adopt.changed.metadata.owner_references == (other, controller_reference(wanted))


def test_a_pod_whose_labels_no_longer_match_is_let_go_and_replaced() -> None:
    wanted = deployment(1)
    odd = changed(pods(wanted, 1)[0], labels={"app": "debug", TEMPLATE_HASH_LABEL: HASH})
    planned = plan(wanted, [odd])
    assert verbs(planned)[1] == f"release pod {odd.metadata.name} (the selector no longer matches)"
    assert verbs(planned)[0].startswith("create pod")
    release = next(a for a in planned.actions if isinstance(a, Update) and isinstance(a.changed, Pod))
    assert release.changed.metadata.owner_references == ()


def test_a_deployment_that_is_being_deleted_makes_and_takes_nothing() -> None:
    wanted = replace(deployment(3), metadata=replace(deployment().metadata, deletion_timestamp="2026-01-01T00:00:00Z"))
    orphan = changed(new_pod(wanted, HASH, "orphn"), owner_references=())
    assert verbs(plan(wanted, [*pods(wanted, 1), orphan])) == []


@pytest.mark.parametrize("selector", [LabelSelector(match_labels={"app": "other"}), LabelSelector()])
def test_a_selector_that_misses_its_own_template_would_make_pods_for_ever(selector: LabelSelector) -> None:
    wanted = replace(deployment(1), spec=replace(deployment(1).spec, selector=selector))
    with pytest.raises(InvalidObject, match=r"deployment default/web: spec.selector does not match"):
        plan(wanted)


def test_finished_pods_are_replaced_and_left_to_be_read() -> None:
    wanted = deployment(1)
    failed = replace(pods(wanted, 1)[0], status=replace(pods(wanted, 1)[0].status, phase=PodPhase.FAILED))
    assert [text.split()[0] for text in verbs(plan(wanted, [failed]))] == ["create"]


def test_a_deletion_spares_a_successor_and_keeps_the_grace_period() -> None:
    wanted = deployment(0)
    pod = changed(pods(wanted, 1)[0], uid="uid-1")
    (action,) = [a for a in plan(wanted, [pod]).actions if isinstance(a, Delete)]
    assert (action.uid, action.grace_period_s) == ("uid-1", 30)
    assert str(action) == f"delete pod {pod.metadata.name} (scaled down)"


def test_whom_a_scale_down_misses_least() -> None:
    """Each pod has one more merit than the one before it."""
    wanted = deployment(0)

    def pod(
        name: str,
        *,
        node: str = "n",
        phase: PodPhase = PodPhase.RUNNING,
        is_ready: bool = True,
        cost: str = "0",
        since: float = 0,
        restarts: int = 0,
        created: str = "2026-01-01T00:00:00Z",
    ) -> Pod:
        made = ready(new_pod(wanted, HASH, name), since=START + seconds(since), is_ready=is_ready)
        counted = replace(made.status, phase=phase, container_statuses=(ContainerStatus(name="c", restart_count=restarts),))
        dressed = changed(made, annotations={"controller.kubernetes.io/pod-deletion-cost": cost}, creation_timestamp=created)
        return replace(dressed, spec=replace(dressed.spec, node_name=node), status=counted)

    order = [
        pod("unassigned", node=""),
        pod("pending", phase=PodPhase.PENDING),
        pod("unknown", phase=PodPhase.UNKNOWN),
        pod("unready", is_ready=False),
        pod("cheap", cost="-1"),
        pod("late", since=60),
        pod("restarted", restarts=3),
        pod("young", created="2026-01-02T00:00:00Z"),
        pod("old"),
        pod("dear", cost="100"),
    ]
    shuffled = Random(7).sample(order, len(order))
    ranked = sorted(shuffled, key=lambda p: deletion_rank(replica(p, HASH, 0, START + seconds(100))))
    assert [p.metadata.name.rsplit("-")[-1] for p in ranked] == [p.metadata.name.rsplit("-")[-1] for p in order]


def test_a_deletion_cost_that_is_no_number_costs_nothing() -> None:
    pod = changed(new_pod(deployment(), HASH, "a"), annotations={"controller.kubernetes.io/pod-deletion-cost": "much"})
    assert deletion_rank(replica(pod, HASH, 0, START))[3] == 0
