"""A node's claims and volumes in memory, a driver that remembers, and a loop that takes steps until nothing is left to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from agent.controllers.storage.controller import StorageController
from agent.errors import PodwrightError
from agent.objects.admit import admit
from agent.objects.claim import AccessMode, PersistentVolumeClaimSpec, VolumeMode, VolumeResources
from agent.objects.container import Container
from agent.objects.meta import Key, Object, ObjectMeta
from agent.objects.persistent_volume import (
    STORAGE,
    PersistentVolume,
    PersistentVolumeSpec,
    PersistentVolumeStatus,
    VolumePhase,
)
from agent.objects.persistent_volume_claim import PersistentVolumeClaim
from agent.objects.pod import Pod, PodSpec
from agent.objects.quantity import Quantity
from agent.objects.reference import ObjectReference
from agent.objects.storage_class import BindingMode, ReclaimPolicy, StorageClass, VolumeAttributesClass
from agent.objects.volumes import ClaimVolume, HostPathVolume, Volume
from tests.unit.controllers.worlds import MemoryStore

NODE = "here"
NOW = "2026-01-01T00:00:00Z"
DRIVER = "csi.podwright.io"
RWO = (AccessMode.READ_WRITE_ONCE,)


def claim(name: str = "data", size: str = "1Gi", **spec: Any) -> PersistentVolumeClaim:
    metadata = ObjectMeta(name=name, namespace="default", annotations=spec.pop("annotations", {}))
    resources = VolumeResources(requests={STORAGE: Quantity.parse(size)})
    modes = spec.pop("access_modes", RWO)
    return PersistentVolumeClaim(metadata=metadata, spec=PersistentVolumeClaimSpec(access_modes=modes, resources=resources, **spec))


def volume(name: str = "disk", size: str = "1Gi", phase: VolumePhase = VolumePhase.AVAILABLE, **spec: Any) -> PersistentVolume:
    metadata = ObjectMeta(name=name, labels=spec.pop("labels", {}), annotations=spec.pop("annotations", {}))
    spec.setdefault("access_modes", RWO)
    if not spec.keys() & {"csi", "local", "nfs"}:
        spec["host_path"] = HostPathVolume(path="/srv/disk")
    return PersistentVolume(
        metadata=metadata,
        spec=PersistentVolumeSpec(capacity={STORAGE: Quantity.parse(size)}, **spec),
        status=PersistentVolumeStatus(phase=phase),
    )


def storage_class(name: str = "fast", provisioner: str = DRIVER, **fields: Any) -> StorageClass:
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if fields.pop("is_default", False) else {}
    return StorageClass(metadata=ObjectMeta(name=name, annotations=annotations), provisioner=provisioner, **fields)


def waiting_class(name: str = "lazy") -> StorageClass:
    return storage_class(name, volume_binding_mode=BindingMode.WAIT_FOR_FIRST_CONSUMER)


def pod(name: str = "web", claim_name: str = "data", **spec: Any) -> Pod:
    volumes = spec.pop("volumes", (Volume(name="data", persistent_volume_claim=ClaimVolume(claim_name=claim_name)),))
    return Pod(
        metadata=ObjectMeta(name=name, namespace="default"),
        spec=PodSpec(containers=(Container(name="c", image="i"),), node_name=NODE, volumes=volumes, **spec),
    )


def reserved_for(name: str, uid: str = "") -> ObjectReference:
    return ObjectReference(api_version="v1", kind="PersistentVolumeClaim", namespace="default", name=name, uid=uid)


@dataclass
class Storage:
    """What the driver made: bytes by handle. `refuses` is raised by the next calls of these names."""

    made: dict[str, int] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    refuses: dict[str, PodwrightError] = field(default_factory=dict)
    grows_online: bool = True

    def create(self, volume: PersistentVolume, storage_class: StorageClass, claim: PersistentVolumeClaim) -> PersistentVolume:
        self._answer("create")
        self.made[volume.metadata.name] = volume.spec.size.nano // 10**9
        return volume

    def delete(self, volume: PersistentVolume) -> None:
        self._answer("delete")
        self.made.pop(volume.metadata.name, None)

    def expand(self, volume: PersistentVolume, size_bytes: int) -> bool:
        self._answer("expand")
        self.made[volume.metadata.name] = size_bytes
        return self.grows_online

    def modify(self, volume: PersistentVolume, attributes_class: VolumeAttributesClass) -> None:
        self._answer("modify")
        self.classes[volume.metadata.name] = attributes_class.metadata.name

    def _answer(self, call: str) -> None:
        if call in self.refuses:
            raise self.refuses[call]


class Place:
    def __init__(self, *things: Object) -> None:
        self.store, self.storage = MemoryStore(), Storage()
        self.notes: list[tuple[str, str]] = []
        self.add(*things)

    def add(self, *things: Object) -> None:
        for thing in things:
            self.store.create(admit(thing, None, node_name=NODE))

    def controller(self) -> StorageController:
        """A new one, as after a restart: it knows nothing but the store."""
        return StorageController(self.store, NODE, self.storage, self._record, lambda: NOW)

    def settle(self, looks: int = 100) -> None:
        """Until a whole round of looks writes nothing."""
        for _ in range(looks):
            written = len(self.store.events)
            for key in self._keys():
                self.look(key)
            if len(self.store.events) == written:
                return
        raise AssertionError("it never comes to rest")

    def look(self, key: Key) -> None:
        try:
            self.controller().reconcile(key)
        except PodwrightError as error:
            self.notes.append(("error", error.message))

    def claim(self, name: str = "data") -> PersistentVolumeClaim:
        found = self.store.get(Key("PersistentVolumeClaim", "default", name))
        assert isinstance(found, PersistentVolumeClaim)
        return found

    def volume(self, name: str = "disk") -> PersistentVolume:
        found = self.store.get(Key("PersistentVolume", "", name))
        assert isinstance(found, PersistentVolume)
        return found

    def made_volume(self, name: str = "data") -> PersistentVolume:
        return self.volume(f"pvc-{self.claim(name).metadata.uid}")

    def volumes(self) -> list[str]:
        return [each.metadata.name for each in self.store.list("PersistentVolume")[0]]

    def reasons(self) -> set[str]:
        return {reason for reason, _ in self.notes}

    def change(self, thing: Object, **fields: Any) -> None:
        self.store.update(replace(self.store.get(thing.key), **fields))

    def ask(self, size: str, name: str = "data") -> None:
        """As a user who edits the claim."""
        found = self.claim(name)
        resources = replace(found.spec.resources, requests={STORAGE: Quantity.parse(size)})
        self.change(found, spec=replace(found.spec, resources=resources))

    def end(self, thing: Object) -> None:
        """As the sandbox does when a pod has gone: its finalizers go, then it goes."""
        self.store.delete(thing.key)
        left = self.store.find(thing.key)
        if left is not None and left.kind == "Pod":
            self.change(left, metadata=replace(left.metadata, finalizers=()))

    def _keys(self) -> Iterable[Key]:
        return [
            key for kind in ("Pod", "PersistentVolumeClaim", "PersistentVolume") for key in sorted(self.store.objects) if key.kind == kind
        ]

    def _record(self, subject: Object, type: str, reason: str, message: str) -> None:
        self.notes.append((reason, message))


__all__ = ["BindingMode", "ReclaimPolicy", "VolumeMode"]
