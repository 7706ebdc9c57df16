"""Who gets which volume. The cases are those of Kubernetes' binder, as data: what is there, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from agent.objects.claim import AccessMode, VolumeMode
from agent.objects.meta import Object
from agent.objects.persistent_volume import ReclaimPolicy, VolumeNodeAffinity, VolumePhase
from agent.objects.persistent_volume_claim import ClaimPhase
from agent.objects.scheduling import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from agent.objects.selector import LabelSelector
from tests.unit.controllers_storage.places import Place, claim, pod, reserved_for, storage_class, volume, waiting_class


@dataclass(frozen=True)
class Case:
    """`bound`: the volume that the claim "data" gets; None: it stays Pending, and `reason` says why."""

    name: str
    things: tuple[Object, ...]
    bound: str | None
    reason: str = ""


def on_node(name: str) -> VolumeNodeAffinity:
    requirement = NodeSelectorRequirement(key="kubernetes.io/hostname", operator="In", values=(name,))
    return VolumeNodeAffinity(required=NodeSelector(node_selector_terms=(NodeSelectorTerm(match_expressions=(requirement,)),)))


BLUE = LabelSelector(match_labels={"colour": "blue"})
BOUND_TO_OTHER = {"claim_ref": reserved_for("other", "uid-of-other"), "phase": VolumePhase.BOUND}

CASES = (
    Case("one volume that suits", (claim(), volume()), "disk"),
    Case("nothing is there", (claim(),), None, "FailedBinding"),
    Case("the smallest that is large enough", (claim(size="5Gi"), volume("a", "50Gi"), volume("b", "6Gi"), volume("c", "4Gi")), "b"),
    Case("all too small", (claim(size="5Gi"), volume(size="4Gi")), None, "FailedBinding"),
    Case("of one size the least able", (claim(), volume("a", access_modes=tuple(AccessMode)[:3]), volume("b")), "b"),
    Case("more access than offered", (claim(access_modes=(AccessMode.READ_WRITE_MANY,)), volume()), None, "FailedBinding"),
    Case("labels selected", (claim(selector=BLUE), volume("red"), volume("blue", "9Gi", labels={"colour": "blue"})), "blue"),
    Case("labels do not match", (claim(selector=BLUE), volume()), None, "FailedBinding"),
    Case("reserved by name comes before smaller ones", (claim(), volume("a"), volume("b", "9Gi", claim_ref=reserved_for("data"))), "b"),
    Case("reserved by name, of another class", (claim(), volume(claim_ref=reserved_for("data"), storage_class_name="x")), "disk"),
    Case("reserved for another uid", (claim(), volume(claim_ref=reserved_for("data", "uid-of-ancestor"))), None, "FailedBinding"),
    Case("reserved for another claim", (claim(), volume(claim_ref=reserved_for("other"))), None, "FailedBinding"),
    Case("bound to another claim", (claim("other"), claim(), volume(**BOUND_TO_OTHER)), None, "FailedBinding"),
    Case(
        "released volumes wait for an administrator",
        (claim(), volume(phase=VolumePhase.RELEASED, claim_ref=reserved_for("gone", "u"))),
        None,
        "FailedBinding",
    ),
    Case(
        "no class wants a volume without one", (claim(storage_class_name=""), volume("a", storage_class_name="x"), volume("b", "9Gi")), "b"
    ),
    Case("a class wants its own volumes", (claim(storage_class_name="x"), volume("a"), volume("b", "9Gi", storage_class_name="x")), "b"),
    Case("no class, though there is a default one", (storage_class(is_default=True), claim(storage_class_name=""), volume()), "disk"),
    Case("a class that is not there", (claim(storage_class_name="x"),), None, "ProvisioningFailed"),
    Case(
        "a class that makes nothing",
        (storage_class("x", "kubernetes.io/no-provisioner"), claim(storage_class_name="x")),
        None,
        "FailedBinding",
    ),
    Case("a class of another driver", (storage_class("x", "example.com/nfs"), claim(storage_class_name="x")), None, "ExternalProvisioning"),
    Case("block wants block", (claim(volume_mode=VolumeMode.BLOCK), volume("a"), volume("b", "9Gi", volume_mode=VolumeMode.BLOCK)), "b"),
    Case("a filesystem wants no block", (claim(), volume(volume_mode=VolumeMode.BLOCK)), None, "FailedBinding"),
    Case("attributes class differs", (claim(volume_attributes_class_name="gold"), volume()), None, "FailedBinding"),
    Case("attributes class is the same", (claim(volume_attributes_class_name="g"), volume(volume_attributes_class_name="g")), "disk"),
    Case("on another node", (claim(), volume(node_affinity=on_node("there"))), None, "FailedBinding"),
    Case("on this node", (claim(), volume(node_affinity=on_node("here"))), "disk"),
    Case("the claim names it", (claim(volume_name="disk"), volume("a"), volume("disk", "9Gi")), "disk"),
    Case("the claim names one that is not there", (claim(volume_name="disk"), volume("a")), None, "FailedBinding"),
    Case("the claim names one that is too small", (claim(size="5Gi", volume_name="disk"), volume()), None, "VolumeMismatch"),
    Case("the claim names one of another class", (claim(volume_name="disk"), volume(storage_class_name="x")), None, "VolumeMismatch"),
    Case("the claim names one of another mode", (claim(volume_name="disk"), volume(volume_mode=VolumeMode.BLOCK)), None, "VolumeMismatch"),
    Case(
        "the claim names one of another attributes class",
        (claim(volume_name="disk"), volume(volume_attributes_class_name="g")),
        None,
        "VolumeMismatch",
    ),
    Case("the claim names one whatever its labels", (claim(volume_name="disk", selector=BLUE), volume()), "disk"),
    Case("the claim names one reserved for it", (claim(volume_name="disk"), volume(claim_ref=reserved_for("data"))), "disk"),
    Case("the claim names one of another", (claim("other"), claim(volume_name="disk"), volume(**BOUND_TO_OTHER)), None, "FailedBinding"),
    Case(
        "waits for a pod",
        (waiting_class(), claim(storage_class_name="lazy"), volume(storage_class_name="lazy")),
        None,
        "WaitForFirstConsumer",
    ),
    Case("a pod has come", (waiting_class(), claim(storage_class_name="lazy"), volume(storage_class_name="lazy"), pod()), "disk"),
    Case(
        "waits, but is reserved",
        (waiting_class(), claim(storage_class_name="lazy"), volume(claim_ref=reserved_for("data"), storage_class_name="lazy")),
        "disk",
    ),
)


def settled(case: Case) -> Place:
    place = Place(*case.things)
    place.settle()
    return place


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_claim_comes_to(case: Case) -> None:
    place = settled(case)
    found = place.claim()
    if case.bound is None:
        assert found.status.phase is ClaimPhase.PENDING
        assert case.reason in place.reasons()
        return
    volume = place.volume(case.bound)
    assert (found.status.phase, found.spec.volume_name, volume.status.phase) == (ClaimPhase.BOUND, case.bound, VolumePhase.BOUND)
    assert volume.spec.claim_ref is not None
    assert volume.spec.claim_ref.uid == found.metadata.uid
    assert found.capacity == volume.spec.size


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_coming_to_rest_it_writes_no_more(case: Case) -> None:
    place = settled(case)
    written = len(place.store.events)
    place.settle()
    assert len(place.store.events) == written


@pytest.mark.parametrize("case", [case for case in CASES if case.bound], ids=lambda case: case.name)
def test_any_order_of_looks_binds_the_same(case: Case) -> None:
    place = Place(*reversed(case.things))
    place.settle()
    assert place.claim().spec.volume_name == case.bound


def test_two_claims_never_share_a_volume() -> None:
    place = Place(claim("a"), claim("b"), volume("one"), volume("two"))
    place.settle()
    assert {place.claim("a").spec.volume_name, place.claim("b").spec.volume_name} == {"one", "two"}


def test_a_volume_taken_by_a_claim_that_was_deleted_meanwhile_is_released() -> None:
    place = Place(claim(), volume())
    place.look(place.claim().key)
    assert place.volume().status.phase is VolumePhase.BOUND
    assert not place.claim().spec.volume_name, "the second half of the binding is still to come"
    place.store.delete(place.claim().key)
    place.settle()
    assert place.volume().status.phase is VolumePhase.RELEASED


def test_the_default_class_is_given_to_claims_that_name_none() -> None:
    place = Place(storage_class("old", is_default=True), claim())
    place.settle()
    assert place.claim().spec.storage_class_name == "old"


def test_a_claim_whose_volume_is_gone_is_lost_for_ever() -> None:
    place = Place(claim(), volume())
    place.settle()
    place.store.delete(place.volume().key)
    place.change(place.volume(), metadata=replace(place.volume().metadata, finalizers=()))
    place.settle()
    assert place.claim().status.phase is ClaimPhase.LOST
    place.add(volume())
    place.settle()
    assert place.claim().status.phase is ClaimPhase.LOST, "another volume of that name has other data"


def test_a_bound_claim_whose_volume_another_has_is_lost() -> None:
    place = Place(claim(), volume())
    place.settle()
    found = place.volume()
    place.change(found, spec=replace(found.spec, claim_ref=reserved_for("other", "another-uid")))
    place.look(place.claim().key)
    assert place.claim().status.phase is ClaimPhase.LOST
    assert "ClaimMisbound" in place.reasons()


@pytest.mark.parametrize(
    ("spec", "phase"),
    [
        pytest.param({}, VolumePhase.AVAILABLE, id="free"),
        pytest.param({"claim_ref": reserved_for("data")}, VolumePhase.AVAILABLE, id="reserved for a claim that is not there"),
        pytest.param({"claim_ref": reserved_for("data", "gone")}, VolumePhase.RELEASED, id="its claim is gone, Retain"),
        pytest.param(
            {"claim_ref": reserved_for("data", "gone"), "persistent_volume_reclaim_policy": ReclaimPolicy.DELETE},
            VolumePhase.FAILED,
            id="its claim is gone, Delete, and nobody can",
        ),
    ],
)
def test_a_volume_alone(spec: dict[str, Any], phase: VolumePhase) -> None:
    place = Place(volume(phase=VolumePhase.PENDING, **spec))
    place.settle()
    assert place.volume().status.phase is phase
    assert place.volume().status.last_phase_transition_time


def test_an_administrator_frees_a_released_volume() -> None:
    place = Place(volume(phase=VolumePhase.RELEASED, claim_ref=reserved_for("data", "gone")))
    place.settle()
    found = place.volume()
    place.change(found, spec=replace(found.spec, claim_ref=None))
    place.add(claim())
    place.settle()
    assert place.claim().spec.volume_name == "disk"
