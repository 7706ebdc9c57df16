"""The next step of a volume. Pure.

    Pending ──> Available ──> Bound ── its claim is gone ──> Released ── Retain: stays, an administrator decides
                    ^──── a claim let it go unused ────┘        └────── Delete: storage, then record; Failed if that fails

A claim is gone only when the store holds none of that name and uid. A volume that its claim does not name was promised
by us and not taken: it is free again, and when it was made for this claim alone it is removed.
"""

from __future__ import annotations

from msgspec.structs import replace

from agent.controllers.action import Update, named
from agent.controllers.storage.claim import is_to_be_made
from agent.controllers.storage.records import BOUND_BY_CONTROLLER, PROVISIONED_BY, Records
from agent.controllers.storage.steps import DeleteStorage, Note, Step, Wait, Write, in_phase, with_annotations
from agent.objects.persistent_volume import PersistentVolume, ReclaimPolicy, VolumePhase
from agent.objects.persistent_volume_claim import PersistentVolumeClaim
from agent.objects.volumes import CSI_DRIVER as DRIVER

_ENDED = (VolumePhase.RELEASED, VolumePhase.FAILED)


def next_step(volume: PersistentVolume, records: Records, now: str) -> Step:
    """None: it is where it should be, or its claim has the next step."""
    reference = volume.spec.claim_ref
    if reference is None or not reference.uid:
        return _phase(volume, VolumePhase.AVAILABLE, now)
    claim = records.claim_of(volume)
    if claim is None:
        return _released(volume, now)
    if claim.spec.volume_name == volume.metadata.name:
        return None if is_to_be_made(volume) else _phase(volume, VolumePhase.BOUND, now)
    if not claim.spec.volume_name:
        return _promised(volume, claim)
    return _not_taken(volume, now)


def _phase(volume: PersistentVolume, phase: VolumePhase, now: str) -> Step:
    if volume.status.phase is phase:
        return None
    return Write(Update(in_phase(volume, phase, now), f"{named(volume.key)} is {phase}"))


def _promised(volume: PersistentVolume, claim: PersistentVolumeClaim) -> Step:
    if volume.spec.volume_mode is claim.volume_mode:
        return None
    return Wait(volume, Note("VolumeMismatch", f"it is reserved for {named(claim.key)}, which wants {claim.volume_mode}", "Warning"))


def _released(volume: PersistentVolume, now: str) -> Step:
    if volume.status.phase not in _ENDED:
        return Write(Update(in_phase(volume, VolumePhase.RELEASED, now), f"{named(volume.key)} is released: its claim is gone"))
    return _reclaimed(volume, now)


def _reclaimed(volume: PersistentVolume, now: str) -> Step:
    """The policy is read now, not when the volume was made."""
    if volume.spec.persistent_volume_reclaim_policy is not ReclaimPolicy.DELETE:
        return None
    if volume.spec.csi is not None and volume.spec.csi.driver == DRIVER:
        return DeleteStorage(volume)
    if volume.spec.csi is not None:
        return None  # another driver's business
    if volume.status.phase is VolumePhase.FAILED:
        return None
    return failed(volume, f"nothing here deletes what is behind {volume.spec.sources[0]}: remove it by hand, then delete the volume", now)


def failed(volume: PersistentVolume, message: str, now: str) -> Write:
    changed = in_phase(volume, VolumePhase.FAILED, now, reason="VolumeFailedDelete", message=message)
    return Write(Update(changed, f"{named(volume.key)} could not be deleted: {message}"), Note("VolumeFailedDelete", message, "Warning"))


def _not_taken(volume: PersistentVolume, now: str) -> Step:
    """Its claim is bound to another volume."""
    annotations = volume.metadata.annotations
    if PROVISIONED_BY in annotations and volume.spec.persistent_volume_reclaim_policy is ReclaimPolicy.DELETE:
        return _released(volume, now)
    reference = volume.spec.claim_ref
    if BOUND_BY_CONTROLLER in annotations:
        freed = with_annotations(replace(volume, spec=replace(volume.spec, claim_ref=None)), {BOUND_BY_CONTROLLER: None})
    else:  # the reservation was an administrator's: it stays, for whoever comes with that name
        assert reference is not None
        freed = replace(volume, spec=replace(volume.spec, claim_ref=replace(reference, uid="")))
    return Write(Update(in_phase(freed, VolumePhase.AVAILABLE, now), f"free {named(volume.key)}: its claim took another"))
