"""A request for storage (core/v1 PersistentVolumeClaimSpec), as a claim's spec and inside ephemeral volumes.

`storage_class_name` None means "the default class"; "" means "no class: only a volume that has none either".
"""

from __future__ import annotations

from enum import StrEnum

from agent.objects.meta import Value
from agent.objects.quantity import Quantity
from agent.objects.reference import TypedLocalObjectReference, TypedObjectReference
from agent.objects.selector import LabelSelector


class AccessMode(StrEnum):
    READ_WRITE_ONCE = "ReadWriteOnce"
    READ_ONLY_MANY = "ReadOnlyMany"
    READ_WRITE_MANY = "ReadWriteMany"
    READ_WRITE_ONCE_POD = "ReadWriteOncePod"


class VolumeMode(StrEnum):
    FILESYSTEM = "Filesystem"
    BLOCK = "Block"


class VolumeResources(Value, frozen=True):
    limits: dict[str, Quantity] = {}
    requests: dict[str, Quantity] = {}


class PersistentVolumeClaimSpec(Value, frozen=True):
    access_modes: tuple[AccessMode, ...] = ()
    selector: LabelSelector | None = None
    resources: VolumeResources = VolumeResources()
    volume_name: str = ""
    storage_class_name: str | None = None
    volume_mode: VolumeMode | None = None
    data_source: TypedLocalObjectReference | None = None
    data_source_ref: TypedObjectReference | None = None
    volume_attributes_class_name: str | None = None
