"""What of a claim, a volume or a class may change after it was made: nearly nothing, for data lives there already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from agent.objects.meta import Object
from agent.objects.persistent_volume import STORAGE, PersistentVolume, PersistentVolumeSpec
from agent.objects.persistent_volume_claim import ClaimPhase, PersistentVolumeClaim
from agent.objects.storage_class import StorageClass, VolumeAttributesClass

FIXED = "cannot be changed"


def storage_problems(new: Object, old: Object) -> Iterable[str]:
    """Each field that was changed and must not be, by its path."""
    match new, old:
        case PersistentVolumeClaim(), PersistentVolumeClaim():
            return (*_claim_problems(new, old), *_size_problems(new, old))
        case PersistentVolume(), PersistentVolume():
            return _volume_problems(new, old)
        case StorageClass(), StorageClass():
            return [f"{name}: {FIXED}" for name, is_same in _class_fields(new, old) if not is_same]
        case VolumeAttributesClass(), VolumeAttributesClass():
            is_same = (new.driver_name, new.parameters) == (old.driver_name, old.parameters)
            return () if is_same else (f"parameters: {FIXED}; make another class and name that in the claims",)
    return ()


_CHANGEABLE_IN_CLAIM = {"resources", "volume_attributes_class_name"}
_FILLED_ONCE = {"volume_name": "", "storage_class_name": None, "volume_mode": None}


def _claim_problems(new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> Iterator[str]:
    for field in msgspec.structs.fields(type(new.spec)):
        before, after = getattr(old.spec, field.name), getattr(new.spec, field.name)
        is_filled = field.name in _FILLED_ONCE and before == _FILLED_ONCE[field.name]
        if before == after or field.name in _CHANGEABLE_IN_CLAIM or is_filled:
            continue
        yield f"spec.{field.encode_name}: {FIXED}"


def _size_problems(new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> Iterator[str]:
    """A claim grows when it is bound. It may ask for less only to take back a wish that was not fulfilled."""
    path = f"spec.resources.requests.{STORAGE}"
    if new.requested == old.requested:
        return
    if old.status.phase is not ClaimPhase.BOUND:
        yield f"{path}: can be changed only when the claim is bound"
    elif new.requested < old.requested and new.requested <= (old.capacity or old.requested):
        yield f"{path}: a volume does not shrink: it has {old.capacity}, ask for more than that"


_FIXED_IN_VOLUME = ("volume_mode",)


def _volume_problems(new: PersistentVolume, old: PersistentVolume) -> Iterator[str]:
    fields = {field.name: field.encode_name for field in msgspec.structs.fields(PersistentVolumeSpec)}
    sources = [name for name, wire in fields.items() if wire in (*new.spec.sources, *old.spec.sources)]
    for name in (*_FIXED_IN_VOLUME, *sources):
        if getattr(new.spec, name) != getattr(old.spec, name):
            yield f"spec.{fields[name]}: {FIXED}; delete the volume and make it anew"
    if old.spec.node_affinity not in (None, new.spec.node_affinity):
        yield f"spec.nodeAffinity: {FIXED} once it is set"


def _class_fields(new: StorageClass, old: StorageClass) -> Iterator[tuple[str, bool]]:
    """What a volume was made from is fixed; mountOptions, expansion and topologies concern later volumes only."""
    yield "provisioner", new.provisioner == old.provisioner
    yield "parameters", new.parameters == old.parameters
    yield "reclaimPolicy", new.reclaim_policy is old.reclaim_policy
    yield "volumeBindingMode", new.volume_binding_mode is old.volume_binding_mode
