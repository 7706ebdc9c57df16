"""Our CSI driver in process: what the controllers ask of it for claims, without a socket in between.

A PersistentVolume's name is the name of the volume behind it, so the same claim never gets two; its volumeHandle is the
volume's id.
"""

from __future__ import annotations

from msgspec.structs import replace

from agent.errors import Conflict, InUse, InvalidObject
from agent.objects.claim import VolumeMode
from agent.objects.persistent_volume import STORAGE, PersistentVolume
from agent.objects.persistent_volume_claim import PersistentVolumeClaim
from agent.objects.quantity import Quantity
from agent.objects.reference import TypedObjectReference
from agent.objects.storage import volume_id
from agent.objects.storage_class import StorageClass, VolumeAttributesClass
from agent.volume.pool.maker import NewVolume
from agent.volume.pool.volumes import Volumes


class Driver:
    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes

    def create(self, volume: PersistentVolume, storage_class: StorageClass, claim: PersistentVolumeClaim) -> PersistentVolume:
        """Made, or found; the record with its real size."""
        is_block = volume.spec.volume_mode is VolumeMode.BLOCK
        parameters = dict(storage_class.parameters)
        fs_type = parameters.pop("csi.storage.k8s.io/fstype", "")
        limit = claim.spec.resources.limits.get(STORAGE)
        made = self._volumes.maker.create(
            NewVolume(
                name=volume.metadata.name,
                required_bytes=_bytes(volume.spec.size),
                limit_bytes=_bytes(limit) if limit is not None else 0,
                is_block=is_block,
                fs_type=fs_type,
                parameters=parameters,
                source_volume=self._source(claim),
            )
        )
        assert volume.spec.csi is not None
        csi = replace(volume.spec.csi, volume_handle=made.id, fs_type=made.fs_type)
        return replace(volume, spec=replace(volume.spec, capacity={STORAGE: Quantity.parse(str(made.size_bytes))}, csi=csi))

    def delete(self, volume: PersistentVolume) -> None:
        try:
            self._volumes.delete(_id(volume))
        except InUse as error:
            raise Conflict(error.message, hint=error.hint) from None

    def expand(self, volume: PersistentVolume, size_bytes: int) -> bool:
        grown = self._volumes.expand(_id(volume), size_bytes)
        if grown.needs_growth:
            grown = self._volumes.grow(_id(volume))
        return not grown.needs_growth

    def modify(self, volume: PersistentVolume, attributes_class: VolumeAttributesClass) -> None:
        self._volumes.modify(_id(volume), dict(attributes_class.parameters))

    def _source(self, claim: PersistentVolumeClaim) -> str:
        """Of a clone: the volume behind another claim of the namespace."""
        reference = claim.spec.data_source_ref or claim.spec.data_source
        if reference is None:
            return ""
        if reference.kind != "PersistentVolumeClaim" or (isinstance(reference, TypedObjectReference) and reference.namespace):
            raise InvalidObject(
                f"spec.dataSource: a {reference.kind} is not offered as a source here, only a PersistentVolumeClaim of the same namespace"
            )
        return self._volumes.catalog.volume_of_claim(claim.metadata.namespace, reference.name)


def _id(volume: PersistentVolume) -> str:
    """By the name while the record still has none: it was not made, or its making was not seen to end."""
    assert volume.spec.csi is not None
    handle = volume.spec.csi.volume_handle
    return handle if handle.startswith("vol-") else volume_id(volume.metadata.name)


def _bytes(size: Quantity) -> int:
    return -(-size.nano // 10**9)
