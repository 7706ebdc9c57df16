"""When a claim or a volume that was deleted may really go. Pure.

A claim waits for the pods that use it, a volume for the claim that is bound to it. With reclaim policy Delete a volume
also waits for its storage: a record without data is harmless, data without a record is a leak.
"""

from __future__ import annotations

from agent.controllers.action import Update, named
from agent.controllers.storage.records import Records
from agent.controllers.storage.steps import DeleteStorage, Note, Step, Wait, Write, without_finalizer
from agent.objects.persistent_volume import VOLUME_PROTECTION, PersistentVolume, ReclaimPolicy, VolumePhase
from agent.objects.persistent_volume_claim import CLAIM_PROTECTION, PersistentVolumeClaim
from agent.objects.volumes import CSI_DRIVER as DRIVER


def claim_step(claim: PersistentVolumeClaim, records: Records) -> Step:
    """Of a claim that is being deleted."""
    if not claim.is_being_deleted or CLAIM_PROTECTION not in claim.metadata.finalizers:
        return None
    users = records.users_of(claim)
    if users:
        return Wait(claim, Note("ClaimInUse", f"waits for the end of {', '.join(named(pod.key) for pod in users)}"))
    return Write(Update(without_finalizer(claim, CLAIM_PROTECTION), f"let {named(claim.key)} go: no pod uses it"))


def volume_step(volume: PersistentVolume, records: Records) -> Step:
    """Of a volume that is being deleted."""
    if not volume.is_being_deleted or VOLUME_PROTECTION not in volume.metadata.finalizers:
        return None
    claim = records.claim_of(volume)
    if claim is not None and claim.spec.volume_name == volume.metadata.name:
        return Wait(volume, Note("VolumeInUse", f"waits for the end of {named(claim.key)}"))
    is_ours = volume.spec.csi is not None and volume.spec.csi.driver == DRIVER
    if is_ours and volume.spec.persistent_volume_reclaim_policy is ReclaimPolicy.DELETE and volume.spec.claim_ref is not None:
        return DeleteStorage(volume)
    if volume.status.phase is VolumePhase.BOUND:
        return None  # its own next step is Released
    return Write(Update(without_finalizer(volume, VOLUME_PROTECTION), f"let {named(volume.key)} go: no claim is bound to it"))
