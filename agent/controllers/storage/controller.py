"""Takes the steps of claims and volumes: reads the store, plans, writes, and calls the driver for what is slow.

Keys are those of claims and volumes. After each step the event of its own write brings the next look, so a claim goes
from YAML to Bound in four looks. The driver's calls are idempotent by the volume's handle, and their result is written
before anything is built on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from loguru import logger

from agent.controllers import action
from agent.controllers.action import Create, Delete, Update, named
from agent.controllers.runner import Due
from agent.controllers.storage import claim as claims
from agent.controllers.storage import ephemeral, protection, records, resize, volume
from agent.controllers.storage.steps import DeleteStorage, Expand, Modify, Note, Provision, Step, Wait, Write, in_phase, without_finalizer
from agent.errors import CallerError, Conflict, Exhausted, InvalidObject, PodwrightError, Unsupported
from agent.objects.meta import Key, Object
from agent.objects.persistent_volume import VOLUME_PROTECTION, PersistentVolume, VolumePhase
from agent.objects.persistent_volume_claim import PersistentVolumeClaim, ResizeStatus
from agent.objects.pod import Pod
from agent.objects.storage_class import StorageClass, VolumeAttributesClass
from agent.store.base import Event, Store

Record = Callable[[Object, Literal["Normal", "Warning"], str, str], None]
_CLAIM, _VOLUME = "PersistentVolumeClaim", "PersistentVolume"
_INFEASIBLE_AGAIN_S = 60.0
_WAITING_AGAIN_S = 5.0


class Driver(Protocol):
    """Our own CSI driver, in process. Every call is idempotent by the volume's handle; absence is success to delete."""

    def create(self, volume: PersistentVolume, storage_class: StorageClass, claim: PersistentVolumeClaim) -> PersistentVolume:
        """Make the storage. Returns the record with what was really made: its size, its attributes."""

    def delete(self, volume: PersistentVolume) -> None:
        """Raises Conflict while it is in use."""

    def expand(self, volume: PersistentVolume, size_bytes: int) -> bool:
        """True: the filesystem has grown too; False: that is done at the next mount."""

    def modify(self, volume: PersistentVolume, attributes_class: VolumeAttributesClass) -> None: ...


class NoDriver:
    """Where nothing makes volumes: what an administrator prepared is still bound."""

    def create(self, volume: PersistentVolume, storage_class: StorageClass, claim: PersistentVolumeClaim) -> PersistentVolume:
        raise _no_pool()

    def delete(self, volume: PersistentVolume) -> None:
        raise _no_pool()

    def expand(self, volume: PersistentVolume, size_bytes: int) -> bool:
        raise _no_pool()

    def modify(self, volume: PersistentVolume, attributes_class: VolumeAttributesClass) -> None:
        raise _no_pool()


def _no_pool() -> Unsupported:
    return Unsupported("this agent has no pool to make volumes in", hint="podwright pool create makes one")


@dataclass(frozen=True, slots=True)
class StorageController:
    store: Store
    node_name: str
    driver: Driver
    record: Record
    now: Callable[[], str]
    name: str = "storage"
    kinds: tuple[str, ...] = (_CLAIM, _VOLUME, "StorageClass", "VolumeAttributesClass", "Pod")

    def due(self, event: Event) -> Iterable[Due]:
        thing = event.object
        if isinstance(thing, Pod):
            yield from self._due_of_pod(event)
        elif isinstance(thing, PersistentVolumeClaim):
            yield Due(thing.key)
            yield from (
                Due(Key("Pod", thing.metadata.namespace, each.name)) for each in thing.metadata.owner_references if each.kind == "Pod"
            )
            if thing.spec.volume_name:
                yield Due(Key(_VOLUME, "", thing.spec.volume_name))
        elif isinstance(thing, PersistentVolume):
            yield Due(thing.key)
            yield from self._due_of_volume(thing)
        else:
            yield from (Due(each.key) for each in self._claims_that_wait())

    def reconcile(self, key: Key) -> float | None:
        known = records.read(self.store, self.node_name)
        if key.kind == "Pod":
            return self._take(ephemeral.next_step(self.store.find(key), known), known)
        step = self._planned(key, known)
        if step is not None:
            logger.debug("{}: {}", key, step)
        return self._take(step, known)

    def _planned(self, key: Key, known: records.Records) -> Step:
        found, now = self.store.find(key), self.now()
        if isinstance(found, PersistentVolumeClaim):
            return (
                ephemeral.orphan_step(found, self.store.find)
                or protection.claim_step(found, known)
                or claims.next_step(found, known, now)
                or resize.next_step(found, known, now)
            )
        if isinstance(found, PersistentVolume):
            return protection.volume_step(found, known) or volume.next_step(found, known, now)
        return None

    def _take(self, step: Step, known: records.Records) -> float | None:
        match step:
            case Write(planned, note):
                self._write(planned, note)
                return None
            case Wait(subject, note):
                self._note(subject, note)
                return None
            case Provision():
                return self._provision(step)
            case DeleteStorage():
                return self._delete_storage(step)
            case Expand():
                return self._expand(step)
            case Modify():
                return self._modify(step)
            case _:
                return None

    def _write(self, planned: Create | Update | Delete, note: Note | None = None) -> None:
        action.apply(self.store, [planned])
        subject = planned.changed if isinstance(planned, Update) else planned.new if isinstance(planned, Create) else None
        if note is not None and subject is not None:
            self._note(subject, note)

    def _note(self, subject: Object, note: Note) -> None:
        self.record(subject, note.type, note.reason, note.message)

    def _provision(self, step: Provision) -> float | None:
        """The claim may have gone meanwhile: then the record leads to the storage, and both go."""
        try:
            made = self.driver.create(step.volume, step.storage_class, step.claim)
        except PodwrightError as error:
            self._note(step.claim, Note("ProvisioningFailed", error.message, "Warning"))
            if isinstance(error, CallerError | Exhausted) and not isinstance(error, Conflict):
                return _INFEASIBLE_AGAIN_S
            raise
        self._write(Update(in_phase(made, VolumePhase.BOUND, self.now()), f"{named(made.key)} is made"))
        self._note(step.claim, Note("ProvisioningSucceeded", f"made volume {made.metadata.name} of {made.spec.size}"))
        return None

    def _delete_storage(self, step: DeleteStorage) -> float | None:
        doomed = step.volume
        try:
            self.driver.delete(doomed)
        except Conflict as error:
            self._note(doomed, Note("VolumeFailedDelete", error.message, "Warning"))
            return _WAITING_AGAIN_S
        except PodwrightError as error:
            self._take(volume.failed(doomed, error.message, self.now()), records.Records(self.node_name))
            raise
        self.store.delete(doomed.key, uid=doomed.metadata.uid)
        left = self.store.find(doomed.key)
        if isinstance(left, PersistentVolume) and left.metadata.uid == doomed.metadata.uid:
            self._write(Update(without_finalizer(left, VOLUME_PROTECTION), f"let {named(left.key)} go: its storage is deleted"))
        return None

    def _expand(self, step: Expand) -> float | None:
        claim, size = step.claim, step.size
        try:
            is_done = self.driver.expand(step.volume, -(-size.nano // 10**9))
        except (InvalidObject, Exhausted) as error:
            told = resize.condition(resize.FAILED, self.now(), error.message)
            infeasible = resize.in_growth(claim, size, ResizeStatus.CONTROLLER_INFEASIBLE, told)
            self._write(Update(infeasible, f"{named(claim.key)} cannot grow"), Note("VolumeResizeFailed", error.message, "Warning"))
            return _INFEASIBLE_AGAIN_S
        if step.volume.spec.size != size:
            self._write(Update(resize.enlarged(step.volume, size), f"{named(step.volume.key)} has {size}"))
        if is_done:
            self._write(
                Update(resize.grown(claim, size), f"{named(claim.key)} has {size}"), Note("VolumeResizeSuccessful", f"it has {size}")
            )
            return None
        told = resize.condition(resize.NODE_PENDING, self.now(), "grows at its next mount")
        pending = resize.in_growth(claim, size, ResizeStatus.NODE_PENDING, told)
        self._write(Update(pending, f"{named(claim.key)} grows at its next mount"))
        return _WAITING_AGAIN_S

    def _modify(self, step: Modify) -> float | None:
        name = step.attributes_class.metadata.name
        try:
            self.driver.modify(step.volume, step.attributes_class)
        except InvalidObject as error:
            self._write(Update(resize.not_modified(step.claim, name), f"{named(step.claim.key)} cannot be {name}"))
            self._note(step.claim, Note("VolumeModifyFailed", error.message, "Warning"))
            return _INFEASIBLE_AGAIN_S
        self._write(
            Update(resize.modified(step.claim, name), f"{named(step.claim.key)} is {name}"), Note("VolumeModified", f"it is {name} now")
        )
        return None

    def _due_of_pod(self, event: Event) -> Iterable[Due]:
        pod = event.object
        assert isinstance(pod, Pod)
        if any(each.ephemeral for each in pod.spec.volumes):
            yield Due(pod.key)
        for name in records.claim_names(pod):
            yield Due(Key(_CLAIM, pod.metadata.namespace, name))

    def _due_of_volume(self, thing: PersistentVolume) -> Iterable[Due]:
        """Its claim; for a free volume every claim that waits."""
        reference = thing.spec.claim_ref
        if reference is not None:
            yield Due(Key(_CLAIM, reference.namespace, reference.name))
        elif thing.status.phase is VolumePhase.AVAILABLE:
            yield from (Due(each.key) for each in self._claims_that_wait())

    def _claims_that_wait(self) -> list[PersistentVolumeClaim]:
        found = [each for each in self.store.list(_CLAIM)[0] if isinstance(each, PersistentVolumeClaim)]
        return [each for each in found if records.BIND_COMPLETED not in each.metadata.annotations or _is_changing(each)]


def _is_changing(claim: PersistentVolumeClaim) -> bool:
    grows = claim.capacity is not None and claim.requested > claim.capacity
    return grows or claim.spec.volume_attributes_class_name != claim.status.current_volume_attributes_class_name
