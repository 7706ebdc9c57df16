"""The next step of a claim. Pure.

    Pending ── a volume suits, or is made ──> Bound ── the volume is gone or is another's ──> Lost

Binding is two writes, and each side names the other: first the volume takes the claim (claimRef with its uid), then the
claim the volume. Between the two the volume is promised to nobody else. A volume that has to be made gets its record
first: the record is the intent, so that storage made just before a crash is found again and never leaks.
"""

from __future__ import annotations

from msgspec.structs import replace

from agent.controllers.action import Create, Update, named
from agent.controllers.storage import match
from agent.controllers.storage.records import (
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    PROVISIONED_BY,
    PROVISIONER,
    SELECTED_NODE,
    Records,
    refers_to,
)
from agent.controllers.storage.steps import Note, Provision, Step, Wait, Write, in_phase, with_annotations
from agent.objects.claim import PersistentVolumeClaimSpec
from agent.objects.meta import ObjectMeta
from agent.objects.node import HOSTNAME_LABEL
from agent.objects.persistent_volume import (
    STORAGE,
    VOLUME_PROTECTION,
    CSIPersistentVolumeSource,
    PersistentVolume,
    PersistentVolumeSpec,
    VolumeNodeAffinity,
    VolumePhase,
)
from agent.objects.persistent_volume_claim import ClaimPhase, PersistentVolumeClaim, PersistentVolumeClaimStatus
from agent.objects.reference import ObjectReference
from agent.objects.scheduling import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from agent.objects.storage_class import NO_PROVISIONER, StorageClass
from agent.objects.volumes import CSI_DRIVER as DRIVER


def next_step(claim: PersistentVolumeClaim, records: Records, now: str) -> Step:
    """None: it is where it should be."""
    if claim.is_being_deleted:
        return None
    if BIND_COMPLETED in claim.metadata.annotations:
        return _bound(claim, records, now)
    if (step := _to_be_made(claim, records)) is not None:
        return step
    if claim.spec.volume_name:
        return _named_volume(claim, records, now)
    return _unbound(claim, records, now)


def _unbound(claim: PersistentVolumeClaim, records: Records, now: str) -> Step:
    storage_class = records.classes.get(claim.spec.storage_class_name or "")
    waits = storage_class is not None and storage_class.waits_for_consumer and SELECTED_NODE not in claim.metadata.annotations
    volume = match.best_match(claim, records, only_reserved=waits)
    if volume is not None:
        return _bind(claim, volume, now)
    if claim.spec.storage_class_name is None and (default := records.default_class()) is not None:
        spec = replace(claim.spec, storage_class_name=default.metadata.name)
        return Write(Update(replace(claim, spec=spec), f"give {named(claim.key)} the default class {default.metadata.name}"))
    if waits:
        return _select_node(claim, records)
    if not claim.spec.storage_class_name:
        return Wait(claim, Note("FailedBinding", "no volume suits it, and it names no class of which one could be made"))
    if storage_class is None:
        return Wait(claim, Note("ProvisioningFailed", f"there is no StorageClass {claim.spec.storage_class_name}", "Warning"))
    return _provision(claim, storage_class, records, now)


def _select_node(claim: PersistentVolumeClaim, records: Records) -> Step:
    """The first pod that is to run here brings the volume to be here."""
    for pod in records.users_of(claim):
        if pod.spec.node_name == records.node_name:
            changed = with_annotations(claim, {SELECTED_NODE: records.node_name})
            return Write(Update(changed, f"select node {records.node_name} for {named(claim.key)}: {named(pod.key)} is here"))
    return Wait(claim, Note("WaitForFirstConsumer", "waits for the first pod that uses it"))


def _named_volume(claim: PersistentVolumeClaim, records: Records, now: str) -> Step:
    """Its author chose the volume; class and labels are then not asked for, everything else is."""
    volume = records.volumes.get(claim.spec.volume_name)
    if volume is None:
        return Wait(claim, Note("FailedBinding", f"there is no volume {claim.spec.volume_name} yet"))
    if volume.spec.claim_ref is not None and not refers_to(volume.spec.claim_ref, claim):
        owner = volume.spec.claim_ref
        return Wait(
            claim, Note("FailedBinding", f"volume {volume.metadata.name} belongs to claim {owner.namespace}/{owner.name}", "Warning")
        )
    if volume.spec.claim_ref is None and (problems := list(match.mismatches(volume, claim))):
        return Wait(claim, Note("VolumeMismatch", f"volume {volume.metadata.name} does not suit: {'; '.join(problems)}", "Warning"))
    return _bind(claim, volume, now)


def _bind(claim: PersistentVolumeClaim, volume: PersistentVolume, now: str) -> Step:
    """The volume's side, or when that is done the claim's."""
    taken = _taken(volume, claim, now)
    if taken != volume:
        return Write(Update(taken, f"bind {named(volume.key)} to {named(claim.key)}"))
    given = _given(claim, volume)
    return Write(Update(given, f"bind {named(claim.key)} to {named(volume.key)}")) if given != claim else None


def _taken(volume: PersistentVolume, claim: PersistentVolumeClaim, now: str) -> PersistentVolume:
    known = volume.spec.claim_ref
    reference = reference_to(claim)
    if known is None:
        volume = with_annotations(volume, {BOUND_BY_CONTROLLER: "yes"})
    elif known.uid == claim.metadata.uid:
        reference = known
    return in_phase(replace(volume, spec=replace(volume.spec, claim_ref=reference)), VolumePhase.BOUND, now)


def _given(claim: PersistentVolumeClaim, volume: PersistentVolume) -> PersistentVolumeClaim:
    name = volume.metadata.name
    marks: dict[str, str | None] = {BIND_COMPLETED: "yes"}
    if not claim.spec.volume_name:
        marks[BOUND_BY_CONTROLLER] = "yes"
    marked = with_annotations(claim, marks)
    return replace(marked, spec=replace(claim.spec, volume_name=name), status=_bound_status(claim, volume))


def _bound_status(claim: PersistentVolumeClaim, volume: PersistentVolume) -> PersistentVolumeClaimStatus:
    """A capacity that is there already stays: growth reports it when the filesystem has grown, not before."""
    status = claim.status
    return replace(
        status,
        phase=ClaimPhase.BOUND,
        access_modes=volume.spec.access_modes,
        capacity=status.capacity or {STORAGE: volume.spec.size},
        current_volume_attributes_class_name=status.current_volume_attributes_class_name or volume.spec.volume_attributes_class_name,
    )


def _bound(claim: PersistentVolumeClaim, records: Records, now: str) -> Step:
    """Data is never recovered by guessing: what was bound and is not any more is Lost, and stays so."""
    if claim.status.phase is ClaimPhase.LOST:
        return None
    volume = records.volumes.get(claim.spec.volume_name)
    if not claim.spec.volume_name or volume is None:
        missing = f"volume {claim.spec.volume_name}" if claim.spec.volume_name else "its volumeName"
        return _lost(claim, "ClaimLost", f"{missing} is gone, and with it the data that was there")
    if volume.spec.claim_ref is not None and volume.spec.claim_ref.uid not in ("", claim.metadata.uid):
        owner = volume.spec.claim_ref
        return _lost(claim, "ClaimMisbound", f"volume {volume.metadata.name} belongs to claim {owner.namespace}/{owner.name}")
    return _bind(claim, volume, now)


def _lost(claim: PersistentVolumeClaim, reason: str, message: str) -> Step:
    status = replace(claim.status, phase=ClaimPhase.LOST)
    return Write(Update(replace(claim, status=status), f"{named(claim.key)} is lost: {message}"), Note(reason, message, "Warning"))


def _provision(claim: PersistentVolumeClaim, storage_class: StorageClass, records: Records, now: str) -> Step:
    if storage_class.provisioner == NO_PROVISIONER:
        return Wait(claim, Note("FailedBinding", f"no volume suits it, and class {storage_class.metadata.name} makes none"))
    if storage_class.provisioner != DRIVER:
        if PROVISIONER not in claim.metadata.annotations:
            changed = with_annotations(claim, {PROVISIONER: storage_class.provisioner})
            return Write(Update(changed, f"ask {storage_class.provisioner} for a volume for {named(claim.key)}"))
        return Wait(claim, Note("ExternalProvisioning", f"waits for {storage_class.provisioner} to make a volume"))
    if not _is_allowed_here(storage_class, records):
        return Wait(claim, Note("ProvisioningFailed", f"class {storage_class.metadata.name} does not allow this node", "Warning"))
    name = volume_name(claim)
    if name in records.volumes:
        owner = records.volumes[name].metadata
        return Wait(claim, Note("ProvisioningFailed", f"volume {owner.name} is there already and does not suit", "Warning"))
    volume = planned_volume(claim, storage_class, records.node_name)
    return Write(Create(volume), Note("Provisioning", f"making a volume of {claim.requested} for it"))


def _is_allowed_here(storage_class: StorageClass, records: Records) -> bool:
    terms = storage_class.allowed_topologies
    return not terms or any(
        all(records.node_labels.get(label.key) in label.values for label in term.match_label_expressions) for term in terms
    )


def volume_name(claim: PersistentVolumeClaim) -> str:
    """By the claim's uid: a claim that is made again gets another volume."""
    return f"pvc-{claim.metadata.uid}"


def planned_volume(claim: PersistentVolumeClaim, storage_class: StorageClass, node_name: str) -> PersistentVolume:
    """The record of a volume that is to be made: Pending until its storage is there."""
    spec: PersistentVolumeClaimSpec = claim.spec
    name = volume_name(claim)
    return PersistentVolume(
        metadata=ObjectMeta(
            name=name,
            annotations={PROVISIONED_BY: storage_class.provisioner, BOUND_BY_CONTROLLER: "yes"},
            finalizers=(VOLUME_PROTECTION,),
        ),
        spec=PersistentVolumeSpec(
            capacity={STORAGE: claim.requested},
            access_modes=spec.access_modes,
            claim_ref=reference_to(claim),
            persistent_volume_reclaim_policy=storage_class.reclaim_policy,
            storage_class_name=storage_class.metadata.name,
            mount_options=storage_class.mount_options,
            volume_mode=claim.volume_mode,
            node_affinity=VolumeNodeAffinity(required=_only_on(node_name)),
            volume_attributes_class_name=spec.volume_attributes_class_name,
            csi=CSIPersistentVolumeSource(driver=storage_class.provisioner, volume_handle=name),
        ),
    )


def is_to_be_made(volume: PersistentVolume) -> bool:
    return volume.status.phase is VolumePhase.PENDING and volume.metadata.annotations.get(PROVISIONED_BY) == DRIVER


def _to_be_made(claim: PersistentVolumeClaim, records: Records) -> Step:
    """The storage behind the record that was made for this claim, before anything can be bound to it."""
    volume = records.volumes.get(volume_name(claim))
    if volume is None or not is_to_be_made(volume) or not refers_to(volume.spec.claim_ref, claim):
        return None
    storage_class = records.classes.get(volume.spec.storage_class_name)
    if storage_class is None:
        return Wait(claim, Note("ProvisioningFailed", f"there is no StorageClass {volume.spec.storage_class_name}", "Warning"))
    return Provision(volume, storage_class, claim)


def _only_on(node_name: str) -> NodeSelector:
    requirement = NodeSelectorRequirement(key=HOSTNAME_LABEL, operator="In", values=(node_name,))
    return NodeSelector(node_selector_terms=(NodeSelectorTerm(match_expressions=(requirement,)),))


def reference_to(claim: PersistentVolumeClaim) -> ObjectReference:
    metadata = claim.metadata
    return ObjectReference(
        api_version=claim.api_version, kind=claim.kind, namespace=metadata.namespace, name=metadata.name, uid=metadata.uid
    )
