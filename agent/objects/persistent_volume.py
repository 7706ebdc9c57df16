"""A PersistentVolume (core/v1): storage that exists, whoever claims it; and where on which node it is.

Acted on are the sources `hostPath`, `local` and `csi` of our own driver. What others' drivers describe is kept as it
was written: such a volume can be bound, and a pod that uses it waits and says why.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

import msgspec

from agent.objects.claim import AccessMode, VolumeMode
from agent.objects.meta import Object, Value
from agent.objects.quantity import Quantity
from agent.objects.reference import ObjectReference, SecretReference
from agent.objects.scheduling import NodeSelector
from agent.objects.volumes import HostPathVolume

VOLUME_PROTECTION = "kubernetes.io/pv-protection"
"""The finalizer that keeps a volume on record while a claim is bound to it."""
STORAGE = "storage"
"""The resource that a volume has and a claim requests."""


class ReclaimPolicy(StrEnum):
    """What becomes of the storage when its claim is gone. Recycle is deprecated in Kubernetes and refused here."""

    RETAIN = "Retain"
    DELETE = "Delete"
    RECYCLE = "Recycle"


class VolumePhase(StrEnum):
    PENDING = "Pending"
    AVAILABLE = "Available"
    BOUND = "Bound"
    RELEASED = "Released"
    FAILED = "Failed"


class LocalVolumeSource(Value, frozen=True):
    """A directory or block device that an administrator prepared; the volume's nodeAffinity names its node."""

    path: str
    fs_type: str | None = None


class CSIPersistentVolumeSource(Value, frozen=True):
    driver: str
    volume_handle: str
    read_only: bool = False
    fs_type: str = ""
    volume_attributes: dict[str, str] = {}
    controller_publish_secret_ref: SecretReference | None = None
    node_stage_secret_ref: SecretReference | None = None
    node_publish_secret_ref: SecretReference | None = None
    controller_expand_secret_ref: SecretReference | None = None
    node_expand_secret_ref: SecretReference | None = None


class VolumeNodeAffinity(Value, frozen=True):
    required: NodeSelector | None = None


class PersistentVolumeSpec(Value, frozen=True):
    capacity: dict[str, Quantity] = {}
    access_modes: tuple[AccessMode, ...] = ()
    claim_ref: ObjectReference | None = None
    persistent_volume_reclaim_policy: ReclaimPolicy = ReclaimPolicy.RETAIN
    storage_class_name: str = ""
    mount_options: tuple[str, ...] = ()
    volume_mode: VolumeMode = VolumeMode.FILESYSTEM
    node_affinity: VolumeNodeAffinity | None = None
    volume_attributes_class_name: str | None = None
    host_path: HostPathVolume | None = None
    local: LocalVolumeSource | None = None
    csi: CSIPersistentVolumeSource | None = None
    nfs: dict[str, Any] | None = None
    iscsi: dict[str, Any] | None = None
    fc: dict[str, Any] | None = None
    rbd: dict[str, Any] | None = None
    cephfs: dict[str, Any] | None = None
    cinder: dict[str, Any] | None = None
    flex_volume: dict[str, Any] | None = None
    glusterfs: dict[str, Any] | None = None
    gce_persistent_disk: dict[str, Any] | None = None
    aws_elastic_block_store: dict[str, Any] | None = None
    azure_disk: dict[str, Any] | None = None
    azure_file: dict[str, Any] | None = None
    vsphere_volume: dict[str, Any] | None = None
    portworx_volume: dict[str, Any] | None = None
    scale_io: dict[str, Any] | None = None
    storageos: dict[str, Any] | None = None
    quobyte: dict[str, Any] | None = None
    photon_persistent_disk: dict[str, Any] | None = None
    flocker: dict[str, Any] | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """The wire names of the sources that are set; a good volume has one."""
        fields = {f.name: f.encode_name for f in msgspec.structs.fields(type(self))}
        return tuple(fields[name] for name in _SOURCES if getattr(self, name) is not None)

    @property
    def size(self) -> Quantity:
        return self.capacity.get(STORAGE, Quantity.parse("0"))


_SOURCES = tuple(name for name in PersistentVolumeSpec.__struct_fields__[PersistentVolumeSpec.__struct_fields__.index("host_path") :])


class PersistentVolumeStatus(Value, frozen=True):
    phase: VolumePhase = VolumePhase.PENDING
    message: str = ""
    reason: str = ""
    last_phase_transition_time: str | None = None


class PersistentVolume(Object, frozen=True, kw_only=True):
    spec: PersistentVolumeSpec
    api_version: str = "v1"
    kind: Literal["PersistentVolume"] = "PersistentVolume"
    status: PersistentVolumeStatus = PersistentVolumeStatus()
