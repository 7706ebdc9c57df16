"""Growth of a bound claim, and its change to another VolumeAttributesClass. Pure.

    asked for ──> ControllerResizeInProgress ──> (NodeResizePending: at the next mount) ──> capacity is what was asked
                        └──> ControllerResizeInfeasible: ask for less, or make room

The volume's capacity grows with its storage, the claim's only when its filesystem has grown: who reads it can use it.
"""

from __future__ import annotations

from msgspec.structs import replace

from agent.controllers.action import Update, named
from agent.controllers.storage.records import Records
from agent.controllers.storage.steps import Expand, Modify, Note, Step, Wait, Write
from agent.objects.meta import Condition
from agent.objects.persistent_volume import STORAGE, PersistentVolume
from agent.objects.persistent_volume_claim import (
    ClaimPhase,
    ModifyState,
    ModifyVolumeStatus,
    PersistentVolumeClaim,
    ResizeStatus,
)
from agent.objects.quantity import Quantity
from agent.objects.volumes import CSI_DRIVER as DRIVER

RESIZING = "Resizing"
NODE_PENDING = "FileSystemResizePending"
FAILED = "ControllerResizeError"


def next_step(claim: PersistentVolumeClaim, records: Records, now: str) -> Step:
    volume = records.volumes.get(claim.spec.volume_name)
    if volume is None or claim.status.phase is not ClaimPhase.BOUND or claim.is_being_deleted:
        return None
    if volume.spec.csi is None or volume.spec.csi.driver != DRIVER:
        return None
    return _growth(claim, volume, records, now) or _modification(claim, volume, records)


def _growth(claim: PersistentVolumeClaim, volume: PersistentVolume, records: Records, now: str) -> Step:
    wanted, has = claim.requested, claim.capacity
    if has is None or wanted <= has:
        return _settled(claim) if STORAGE in claim.status.allocated_resource_statuses else None
    storage_class = records.classes.get(volume.spec.storage_class_name)
    if storage_class is None or not storage_class.allow_volume_expansion:
        name = volume.spec.storage_class_name
        return Wait(claim, Note("ExpansionNotAllowed", f"class {name} does not allow expansion (allowVolumeExpansion)", "Warning"))
    if claim.status.allocated_resources.get(STORAGE) != wanted or STORAGE not in claim.status.allocated_resource_statuses:
        status = ResizeStatus.CONTROLLER_IN_PROGRESS
        return Write(
            Update(in_growth(claim, wanted, status, condition(RESIZING, now)), f"expand {named(claim.key)} from {has} to {wanted}")
        )
    return Expand(volume, claim, wanted)


def in_growth(claim: PersistentVolumeClaim, wanted: Quantity, state: ResizeStatus, told: Condition) -> PersistentVolumeClaim:
    status = replace(
        claim.status,
        allocated_resources={STORAGE: wanted},
        allocated_resource_statuses={STORAGE: state},
        conditions=(*_other_conditions(claim), told),
    )
    return replace(claim, status=status)


def condition(type: str, now: str, message: str = "") -> Condition:
    return Condition(type=type, status="True", message=message, last_transition_time=now)


def _other_conditions(claim: PersistentVolumeClaim) -> tuple[Condition, ...]:
    return tuple(each for each in claim.status.conditions if each.type not in (RESIZING, NODE_PENDING, FAILED))


def grown(claim: PersistentVolumeClaim, size: Quantity) -> PersistentVolumeClaim:
    """Its filesystem, or its device, has the size."""
    status = replace(
        claim.status,
        capacity={STORAGE: size},
        allocated_resources={STORAGE: size},
        allocated_resource_statuses={},
        conditions=_other_conditions(claim),
    )
    return replace(claim, status=status)


def enlarged(volume: PersistentVolume, size: Quantity) -> PersistentVolume:
    return replace(volume, spec=replace(volume.spec, capacity={STORAGE: size}))


def _settled(claim: PersistentVolumeClaim) -> Step:
    """The wish was taken back after it could not be fulfilled."""
    assert claim.capacity is not None
    return Write(Update(grown(claim, claim.capacity), f"{named(claim.key)} stays at {claim.capacity}"))


def _modification(claim: PersistentVolumeClaim, volume: PersistentVolume, records: Records) -> Step:
    wanted = claim.spec.volume_attributes_class_name
    if not wanted or wanted == claim.status.current_volume_attributes_class_name:
        return None
    attributes_class = records.attributes_classes.get(wanted)
    if attributes_class is None:
        return Wait(claim, Note("ModifyFailed", f"there is no VolumeAttributesClass {wanted}", "Warning"))
    if attributes_class.driver_name != DRIVER:
        return Wait(claim, Note("ModifyFailed", f"class {wanted} is for driver {attributes_class.driver_name}, not {DRIVER}", "Warning"))
    target = ModifyVolumeStatus(status=ModifyState.IN_PROGRESS, target_volume_attributes_class_name=wanted)
    if claim.status.modify_volume_status is None or claim.status.modify_volume_status.target_volume_attributes_class_name != wanted:
        return Write(
            Update(replace(claim, status=replace(claim.status, modify_volume_status=target)), f"modify {named(claim.key)}: {wanted}")
        )
    return Modify(volume, claim, attributes_class)


def modified(claim: PersistentVolumeClaim, name: str) -> PersistentVolumeClaim:
    return replace(claim, status=replace(claim.status, modify_volume_status=None, current_volume_attributes_class_name=name))


def not_modified(claim: PersistentVolumeClaim, name: str) -> PersistentVolumeClaim:
    target = ModifyVolumeStatus(status=ModifyState.INFEASIBLE, target_volume_attributes_class_name=name)
    return replace(claim, status=replace(claim.status, modify_volume_status=target))
