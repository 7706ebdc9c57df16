"""Claims that live as long as a pod: made from the template in its volume, gone with it. Pure.

The pod owns the claim by uid. A claim of the same name that belongs to somebody else is never used for the pod.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.controllers.action import Create, Delete
from agent.controllers.storage.records import Records
from agent.controllers.storage.steps import Note, Step, Wait, Write
from agent.objects.meta import Key, Object, ObjectMeta, OwnerReference
from agent.objects.persistent_volume_claim import CLAIM_PROTECTION, PersistentVolumeClaim
from agent.objects.pod import Pod
from agent.objects.volumes import Volume, ephemeral_claim_name


def next_step(pod: Object | None, records: Records) -> Step:
    """One claim at a time; its event brings the next look at the pod."""
    if not isinstance(pod, Pod) or pod.is_being_deleted:
        return None
    for volume in pod.spec.volumes:
        if volume.ephemeral is None or volume.ephemeral.volume_claim_template is None:
            continue
        name = ephemeral_claim_name(pod.metadata.name, volume.name)
        known = records.claims.get((pod.metadata.namespace, name))
        if known is None:
            return Write(Create(_claim(pod, volume, name)))
        if not is_owned_by(known, pod):
            message = f"claim {name} is there and is not this pod's: delete it, or rename the volume {volume.name}"
            return Wait(pod, Note("FailedCreate", message, "Warning"))
    return None


def is_owned_by(claim: PersistentVolumeClaim, pod: Pod) -> bool:
    return any(reference.uid == pod.metadata.uid for reference in claim.metadata.owner_references)


def orphan_step(claim: PersistentVolumeClaim, find: Callable[[Key], Object | None]) -> Step:
    """The pod it was made for is gone."""
    if claim.is_being_deleted:
        return None
    for reference in claim.metadata.owner_references:
        if reference.kind == "Pod" and reference.controller:
            owner = find(Key("Pod", claim.metadata.namespace, reference.name))
            if owner is None or owner.metadata.uid != reference.uid:
                return Write(Delete(claim.key, claim.metadata.uid, f"its pod {reference.name} is gone"))
    return None


def _claim(pod: Pod, volume: Volume, name: str) -> PersistentVolumeClaim:
    assert volume.ephemeral is not None
    assert volume.ephemeral.volume_claim_template is not None
    template = volume.ephemeral.volume_claim_template
    owner = OwnerReference(
        api_version=pod.api_version,
        kind=pod.kind,
        name=pod.metadata.name,
        uid=pod.metadata.uid,
        controller=True,
        block_owner_deletion=True,
    )
    metadata = ObjectMeta(
        name=name,
        namespace=pod.metadata.namespace,
        labels=template.metadata.labels,
        annotations=template.metadata.annotations,
        owner_references=(owner,),
        finalizers=(CLAIM_PROTECTION,),
    )
    return PersistentVolumeClaim(metadata=metadata, spec=template.spec)
