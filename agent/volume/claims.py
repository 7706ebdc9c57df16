"""A pod's claims become directories and devices it can be shown: bound, staged once on the node, published in the pod's place.

    STATE/plugins/kubernetes.io/csi/DRIVER/ID/globalmount    staged, for all pods of the node
    PODS/UID/volumes/kubernetes.io~csi/NAME/mount            published, for one

A claim that is not bound yet, or that another pod has to itself, is waited for: the reason is raised and the pod tells it.
Inline volumes of our own driver live as long as their pod, under a name that says whose they are.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.errors import Forbidden, InUse, InvalidObject, NotFound, Unavailable, Unsupported
from agent.kernel import loop
from agent.kernel.io_limits import Limit
from agent.objects.claim import AccessMode, VolumeMode
from agent.objects.meta import Key
from agent.objects.node import HOSTNAME_LABEL
from agent.objects.persistent_volume import PersistentVolume
from agent.objects.persistent_volume_claim import ClaimPhase, PersistentVolumeClaim
from agent.objects.pod import Pod
from agent.objects.quantity import Quantity
from agent.objects.storage import Published, Staged, StorageVolume
from agent.objects.volumes import CSI_DRIVER as DRIVER
from agent.objects.volumes import CSIVolume, HostPathType, HostPathVolume, Volume, ephemeral_claim_name
from agent.store.base import Store
from agent.volume import hostpath
from agent.volume.layout import Plugin, PodPlace
from agent.volume.persistent import Mounted
from agent.volume.pool import parameters
from agent.volume.pool.maker import NewVolume
from agent.volume.pool.volumes import Volumes

_INLINE_BYTES = 64 << 20
_SIZE = "size"
_ACCESS = {
    AccessMode.READ_WRITE_ONCE: "SINGLE_NODE_MULTI_WRITER",
    AccessMode.READ_ONLY_MANY: "MULTI_NODE_READER_ONLY",
    AccessMode.READ_WRITE_MANY: "MULTI_NODE_MULTI_WRITER",
    AccessMode.READ_WRITE_ONCE_POD: "SINGLE_NODE_SINGLE_WRITER",
}
"""ReadWriteOnce is once per node, not per pod: Kubernetes' meaning."""


@dataclass(frozen=True, slots=True)
class Use:
    """`access`: CSI's name."""

    access: str
    is_read_only: bool
    mount_options: tuple[str, ...]


class ClaimVolumes:
    """Implements persistent.PersistentVolumes. `staging_dir`: where volumes are mounted for the node."""

    def __init__(self, store: Store, volumes: Volumes, *, node_name: str, staging_dir: Path) -> None:
        self._store, self._volumes, self._node_name, self._staging_dir = store, volumes, node_name, staging_dir

    def ensure_(self, pod: Pod, volume: Volume, place: PodPlace) -> Mounted:
        if volume.csi is not None:
            return self._ensure_inline(pod, volume, volume.csi, place)
        claim, is_read_only = self._claim(pod, volume)
        bound = self._bound_volume(claim)
        is_read_only = is_read_only or bound.spec.access_modes == (AccessMode.READ_ONLY_MANY,)
        self._refuse_elsewhere(bound)
        if bound.spec.host_path is not None:
            return Mounted(hostpath.ensure_(bound.spec.host_path), is_read_only, owns_group=False)
        if bound.spec.local is not None:
            return _local(bound, is_read_only)
        if bound.spec.csi is None or bound.spec.csi.driver != DRIVER:
            driver = bound.spec.csi.driver if bound.spec.csi is not None else bound.spec.sources[0]
            raise Unsupported(f"volume {bound.metadata.name} is of {driver}, which this agent does not mount")
        found = self._volumes.catalog.get(bound.spec.csi.volume_handle)
        access = _ACCESS[claim.spec.access_modes[0]]
        self._refuse_second_pod(claim, found, place)
        return self._ensure_ours(found, place, bound.metadata.name, Use(access, is_read_only, bound.spec.mount_options))

    def remove_(self, uid: str, place: PodPlace) -> None:
        for found in self._volumes.catalog.list_():
            inside = [each.path for each in found.published if Path(each.path).is_relative_to(place.directory)]
            for path in inside:
                self._volumes.unpublish(found.id, path)
            if inside and len(inside) == len(found.published):
                self._unstage(found)
            if found.name.startswith(_inline_name(uid, "")):
                self._volumes.delete(found.id)

    def _claim(self, pod: Pod, volume: Volume) -> tuple[PersistentVolumeClaim, bool]:
        """An ephemeral volume's claim has to be the pod's own."""
        source = volume.persistent_volume_claim
        name = source.claim_name if source is not None else ephemeral_claim_name(pod.metadata.name, volume.name)
        claim = self._store.find(Key("PersistentVolumeClaim", pod.metadata.namespace, name))
        if not isinstance(claim, PersistentVolumeClaim):
            raise NotFound(f"claim {name} is not there yet")
        if claim.metadata.deletion_timestamp is not None and source is not None and not self._has(pod, claim):
            raise Forbidden(f"claim {name} is being deleted: no new pod may use it")
        is_own = any(reference.uid == pod.metadata.uid for reference in claim.metadata.owner_references)
        if volume.ephemeral is not None and not is_own:
            raise Forbidden(f"claim {name} is there and is not this pod's", hint="delete it, or rename the volume")
        return claim, source is not None and source.read_only

    def _has(self, pod: Pod, claim: PersistentVolumeClaim) -> bool:
        """A pod that stands keeps what it has."""
        volume = self._store.find(Key("PersistentVolume", "", claim.spec.volume_name))
        if not isinstance(volume, PersistentVolume) or volume.spec.csi is None:
            return True
        with suppress(NotFound):
            found = self._volumes.catalog.get(volume.spec.csi.volume_handle)
            return any(pod.metadata.uid in each.path for each in found.published)
        return False

    def _bound_volume(self, claim: PersistentVolumeClaim) -> PersistentVolume:
        name = claim.metadata.name
        if claim.status.phase is ClaimPhase.LOST:
            raise NotFound(f"claim {name} has lost its volume {claim.spec.volume_name}, and its data with it")
        volume = self._store.find(Key("PersistentVolume", "", claim.spec.volume_name)) if claim.spec.volume_name else None
        if claim.status.phase is not ClaimPhase.BOUND or not isinstance(volume, PersistentVolume):
            raise Unavailable(f"claim {name} is not bound to a volume yet")
        reference = volume.spec.claim_ref
        if reference is None or reference.uid != claim.metadata.uid:
            raise Unavailable(f"claim {name} and volume {volume.metadata.name} do not name each other yet")
        return volume

    def _refuse_elsewhere(self, volume: PersistentVolume) -> None:
        affinity = volume.spec.node_affinity
        if affinity is None or affinity.required is None:
            return
        node = self._store.find(Key("Node", "", self._node_name))
        labels = {HOSTNAME_LABEL: self._node_name, **(node.metadata.labels if node is not None else {})}
        if not affinity.required.matches(self._node_name, labels):
            raise Unavailable(f"volume {volume.metadata.name} is on another node")

    def _refuse_second_pod(self, claim: PersistentVolumeClaim, found: StorageVolume, place: PodPlace) -> None:
        if AccessMode.READ_WRITE_ONCE_POD not in claim.spec.access_modes:
            return
        others = [each.path for each in found.published if not Path(each.path).is_relative_to(place.directory)]
        if others:
            raise InUse(f"claim {claim.metadata.name} is ReadWriteOncePod and another pod has it")

    def _ensure_ours(self, found: StorageVolume, place: PodPlace, name: str, use: Use) -> Mounted:
        staged = self._staging_dir / found.id / "globalmount"
        staged.mkdir(parents=True, exist_ok=True)
        self._volumes.stage(found.id, Staged(path=str(staged), mount_flags=use.mount_options))
        target = place.volume(Plugin.CSI, name) / "mount"
        target.parent.mkdir(parents=True, exist_ok=True)
        self._volumes.publish(found.id, Published(path=str(target), access=use.access, is_read_only=use.is_read_only), str(staged))
        return Mounted(target, use.is_read_only, is_block=found.is_block, limits=self._limits(found))

    def _limits(self, found: StorageVolume) -> tuple[Limit, ...]:
        """On the device that the volume has now: the number is another one after each attach."""
        wanted = parameters.limits({**found.parameters, **found.mutable_parameters})
        if not wanted.iops and not wanted.bytes_per_s:
            return ()
        device = loop.find(self._volumes.catalog.path(found))
        if device is None:
            return ()
        return (Limit(f"{os.major(device.rdev)}:{os.minor(device.rdev)}", wanted.iops, wanted.bytes_per_s),)

    def _unstage(self, found: StorageVolume) -> None:
        staged = self._staging_dir / found.id / "globalmount"
        self._volumes.unstage(found.id, str(staged))
        for directory in (staged, staged.parent):
            with suppress(FileNotFoundError):
                directory.rmdir()

    def _ensure_inline(self, pod: Pod, volume: Volume, source: CSIVolume, place: PodPlace) -> Mounted:
        if source.driver != DRIVER:
            raise Unsupported(f"driver {source.driver} is not here, only {DRIVER}")
        attributes = dict(source.volume_attributes)
        size = _size(attributes.pop(_SIZE, ""))
        name = _inline_name(pod.metadata.uid, volume.name)
        made = self._volumes.maker.create(
            NewVolume(name, required_bytes=size, fs_type=source.fs_type or "", parameters={"allocation": "thin", **attributes})
        )
        return self._ensure_ours(made, place, volume.name, Use("SINGLE_NODE_MULTI_WRITER", bool(source.read_only), ()))


def _local(volume: PersistentVolume, is_read_only: bool) -> Mounted:
    """What an administrator prepared: a directory, or a block device for a Block volume. Nothing is formatted or mounted."""
    assert volume.spec.local is not None
    path = Path(volume.spec.local.path)
    if volume.spec.volume_mode is VolumeMode.FILESYSTEM:
        source = HostPathVolume(path=str(path), type=HostPathType.DIRECTORY)
        return Mounted(hostpath.ensure_(source), is_read_only)
    try:
        is_device = stat.S_ISBLK(os.stat(path).st_mode)
    except FileNotFoundError:
        raise NotFound(f"volume {volume.metadata.name}: {path} is not there") from None
    if not is_device:
        raise InvalidObject(f"volume {volume.metadata.name}: {path} is not a block device")
    return Mounted(path, is_read_only, is_block=True)


def _inline_name(uid: str, volume: str) -> str:
    return f"inline {uid} {volume}"


def _size(text: str) -> int:
    if not text:
        return _INLINE_BYTES
    try:
        return Quantity.parse(text).whole
    except ValueError as error:
        raise InvalidObject(f"volumeAttributes.{_SIZE}: {error}") from None
