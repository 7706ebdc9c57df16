"""A PersistentVolumeClaim (core/v1): storage that somebody asks for, and which volume answered."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from agent.objects.claim import AccessMode, PersistentVolumeClaimSpec, VolumeMode
from agent.objects.meta import Condition, Object, Value
from agent.objects.persistent_volume import STORAGE
from agent.objects.quantity import Quantity

CLAIM_PROTECTION = "kubernetes.io/pvc-protection"
"""The finalizer that keeps a claim on record while a pod that has not ended uses it."""


class ClaimPhase(StrEnum):
    PENDING = "Pending"
    BOUND = "Bound"
    LOST = "Lost"


class ResizeStatus(StrEnum):
    """Where an expansion stands; absent when none is under way."""

    CONTROLLER_IN_PROGRESS = "ControllerResizeInProgress"
    CONTROLLER_INFEASIBLE = "ControllerResizeInfeasible"
    NODE_PENDING = "NodeResizePending"
    NODE_IN_PROGRESS = "NodeResizeInProgress"
    NODE_INFEASIBLE = "NodeResizeInfeasible"


class ModifyState(StrEnum):
    PENDING = "Pending"
    IN_PROGRESS = "InProgress"
    INFEASIBLE = "Infeasible"


class ModifyVolumeStatus(Value, frozen=True):
    status: ModifyState
    target_volume_attributes_class_name: str = ""


class PersistentVolumeClaimStatus(Value, frozen=True):
    phase: ClaimPhase = ClaimPhase.PENDING
    access_modes: tuple[AccessMode, ...] = ()
    capacity: dict[str, Quantity] = {}
    conditions: tuple[Condition, ...] = ()
    allocated_resources: dict[str, Quantity] = {}
    allocated_resource_statuses: dict[str, ResizeStatus] = {}
    current_volume_attributes_class_name: str | None = None
    modify_volume_status: ModifyVolumeStatus | None = None


class PersistentVolumeClaim(Object, frozen=True, kw_only=True):
    spec: PersistentVolumeClaimSpec
    api_version: str = "v1"
    kind: Literal["PersistentVolumeClaim"] = "PersistentVolumeClaim"
    status: PersistentVolumeClaimStatus = PersistentVolumeClaimStatus()

    @property
    def requested(self) -> Quantity:
        return self.spec.resources.requests.get(STORAGE, Quantity.parse("0"))

    @property
    def capacity(self) -> Quantity | None:
        """What it was promised and can use; None before it is bound."""
        return self.status.capacity.get(STORAGE)

    @property
    def volume_mode(self) -> VolumeMode:
        return self.spec.volume_mode or VolumeMode.FILESYSTEM
