"""Which volume suits a claim. Pure.

A volume that an administrator reserved for the claim (claimRef) comes before all others. Of the rest the smallest that
is large enough wins, and among volumes of one size the one that can do least more than asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent.controllers.storage.records import Records, refers_to
from agent.objects.persistent_volume import PersistentVolume, VolumePhase
from agent.objects.persistent_volume_claim import PersistentVolumeClaim


def best_match(claim: PersistentVolumeClaim, records: Records, *, only_reserved: bool = False) -> PersistentVolume | None:
    """`only_reserved`: while the claim waits for its first pod, nothing but a reservation binds it."""
    reserved = [each for each in records.volumes.values() if refers_to(each.spec.claim_ref, claim)]
    for volume in reserved:
        if not list(mismatches(volume, claim, is_named=True)):
            return volume
    if only_reserved:
        return None
    fitting = [each for each in records.volumes.values() if _is_free(each) and records.is_reachable(each)]
    fitting = [each for each in fitting if _is_selected(each, claim) and not list(mismatches(each, claim))]
    return min(fitting, key=lambda each: (each.spec.size, len(each.spec.access_modes), each.metadata.name), default=None)


def mismatches(volume: PersistentVolume, claim: PersistentVolumeClaim, *, is_named: bool = False) -> Iterator[str]:
    """Why the volume cannot serve the claim. One that names the other (`is_named`) may differ in class."""
    spec = volume.spec
    if volume.is_being_deleted:
        yield "it is being deleted"
    if spec.size < claim.requested:
        yield f"it has {spec.size}, the claim asks for {claim.requested}"
    if not is_named and spec.storage_class_name != (claim.spec.storage_class_name or ""):
        yield f'its class is "{spec.storage_class_name}", the claim wants "{claim.spec.storage_class_name or ""}"'
    if (spec.volume_attributes_class_name or "") != (claim.spec.volume_attributes_class_name or ""):
        yield f'its volumeAttributesClassName is "{spec.volume_attributes_class_name or ""}"'
    if spec.volume_mode is not claim.volume_mode:
        yield f"its volumeMode is {spec.volume_mode}, the claim wants {claim.volume_mode}"
    missing = [mode for mode in claim.spec.access_modes if mode not in spec.access_modes]
    if missing:
        yield f"it does not offer {', '.join(missing)}"


def _is_free(volume: PersistentVolume) -> bool:
    return volume.spec.claim_ref is None and volume.status.phase is VolumePhase.AVAILABLE


def _is_selected(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    return claim.spec.selector is None or claim.spec.selector.matches(volume.metadata.labels)
