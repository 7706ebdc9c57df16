"""What a look at a claim or a volume can lead to: at most one write, or one call of the driver, or a reason to wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from agent.controllers.action import Create, Delete, Update
from agent.objects.meta import Object
from agent.objects.persistent_volume import PersistentVolume, VolumePhase
from agent.objects.persistent_volume_claim import PersistentVolumeClaim
from agent.objects.quantity import Quantity
from agent.objects.storage_class import StorageClass, VolumeAttributesClass
from agent.store.base import ObjectT


@dataclass(frozen=True, slots=True)
class Note:
    """An Event for people."""

    reason: str
    message: str
    type: Literal["Normal", "Warning"] = "Normal"


@dataclass(frozen=True, slots=True)
class Write:
    action: Create | Update | Delete
    note: Note | None = None

    def __str__(self) -> str:
        return str(self.action)


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done now; what changes that is an event."""

    subject: Object
    note: Note

    def __str__(self) -> str:
        return f"wait: {self.note.message}"


@dataclass(frozen=True, slots=True)
class Provision:
    """Make the storage that `volume`, the record of the intent, describes."""

    volume: PersistentVolume
    storage_class: StorageClass
    claim: PersistentVolumeClaim

    def __str__(self) -> str:
        return f"provision volume {self.volume.metadata.name} of {self.volume.spec.size}"


@dataclass(frozen=True, slots=True)
class DeleteStorage:
    """The data of a released volume; after it the record."""

    volume: PersistentVolume

    def __str__(self) -> str:
        return f"delete the storage of volume {self.volume.metadata.name}"


@dataclass(frozen=True, slots=True)
class Expand:
    volume: PersistentVolume
    claim: PersistentVolumeClaim
    size: Quantity

    def __str__(self) -> str:
        return f"expand volume {self.volume.metadata.name} to {self.size}"


@dataclass(frozen=True, slots=True)
class Modify:
    volume: PersistentVolume
    claim: PersistentVolumeClaim
    attributes_class: VolumeAttributesClass

    def __str__(self) -> str:
        return f"modify volume {self.volume.metadata.name}: {self.attributes_class.metadata.name}"


Step = Write | Wait | Provision | DeleteStorage | Expand | Modify | None


def in_phase(volume: PersistentVolume, phase: VolumePhase, now: str, *, reason: str = "", message: str = "") -> PersistentVolume:
    """The time is that of the change, kept while the phase stays."""
    is_same = volume.status.phase is phase and volume.status.last_phase_transition_time
    since = volume.status.last_phase_transition_time if is_same else now
    return replace(volume, status=replace(volume.status, phase=phase, reason=reason, message=message, last_phase_transition_time=since))


def with_annotations(thing: ObjectT, changes: Mapping[str, str | None]) -> ObjectT:
    """None takes an annotation away."""
    merged = {**thing.metadata.annotations, **changes}
    kept = {name: value for name, value in merged.items() if value is not None}
    return replace(thing, metadata=replace(thing.metadata, annotations=kept))


def without_finalizer(thing: ObjectT, finalizer: str) -> ObjectT:
    remaining = tuple(name for name in thing.metadata.finalizers if name != finalizer)
    return replace(thing, metadata=replace(thing.metadata, finalizers=remaining))
