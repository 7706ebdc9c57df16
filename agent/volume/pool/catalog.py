"""What there is: pools, volumes and snapshots by their records, and who is working on which.

One caller works on a volume at a time; the second is told so at once (Busy) and comes again, so no thread waits for a slow
disk.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agent.errors import Busy, InvalidObject, NotFound
from agent.kernel import filesystem, loop
from agent.kernel.filesystem import Kind
from agent.objects.meta import Key, ObjectMeta
from agent.objects.persistent_volume import PersistentVolume
from agent.objects.persistent_volume_claim import PersistentVolumeClaim
from agent.objects.storage import State, StoragePool, StorageSnapshot, StorageVolume
from agent.store.base import ObjectT, Store
from agent.volume.pool import staging
from agent.volume.pool.directory import Directory, allocated_bytes
from agent.volume.pool.space import Promise, Space, space

DEFAULT_POOL = "default"


class Catalog:
    """`default_directory` is where the pool "default" is when nobody made one of that name."""

    def __init__(self, store: Store, default_directory: Path) -> None:
        self._store, self.default_directory = store, default_directory
        self._lock = threading.Lock()
        self._busy: set[str] = set()

    def pools(self) -> Sequence[StoragePool]:
        """The pool "default" is there without being made."""
        made = self._all("StoragePool", StoragePool)
        if any(pool.metadata.name == DEFAULT_POOL for pool in made):
            return made
        default = StoragePool(metadata=ObjectMeta(name=DEFAULT_POOL), directory=str(self.default_directory))
        return [default, *made]

    def pool(self, name: str) -> StoragePool:
        for pool in self.pools():
            if pool.metadata.name == name:
                return pool
        raise InvalidObject(f'parameters.pool: there is no pool "{name}"', hint="podwright pool list shows them, pool create makes one")

    def space(self, name: str) -> Space:
        pool, place = self.pool(name), self.directory(name)
        seen = filesystem.usage(place.path)
        promises = [Promise(v.size_bytes, allocated_bytes(place.volume(v.id))) for v in self.list_() if v.pool == name]
        promises += [Promise(s.size_bytes, s.size_bytes) for s in self.snapshots() if s.pool == name]
        return space(seen.total_bytes, seen.available_bytes, promises, pool.overcommit)

    def list_(self) -> Sequence[StorageVolume]:
        return self._all("StorageVolume", StorageVolume)

    def get(self, id: str) -> StorageVolume:
        """Raises NotFound, also for one that is only half there."""
        found = self._find("StorageVolume", id, StorageVolume)
        if found is None or found.state is not State.READY:
            raise NotFound(f"there is no volume {id}")
        return found

    def snapshots(self) -> Sequence[StorageSnapshot]:
        return self._all("StorageSnapshot", StorageSnapshot)

    def snapshot(self, id: str) -> StorageSnapshot:
        found = self._find("StorageSnapshot", id, StorageSnapshot)
        if found is None or found.state is not State.READY:
            raise NotFound(f"there is no snapshot {id}")
        return found

    def unknown_files(self) -> Sequence[Path]:
        """In the pools, that no record knows: left alone and told to people."""
        volumes, snapshots = {v.id for v in self.list_()}, {s.id for s in self.snapshots()}
        return [path for pool in self.pools() for path in self.directory(pool.metadata.name).unknown(volumes, snapshots)]

    def find(self, id: str) -> StorageVolume | None:
        """In whatever state."""
        return self._find("StorageVolume", id, StorageVolume)

    def find_snapshot(self, id: str) -> StorageSnapshot | None:
        return self._find("StorageSnapshot", id, StorageSnapshot)

    def volume_of_claim(self, namespace: str, name: str) -> str:
        """The id of the volume that a claim is bound to. Raises NotFound."""
        claim = self._store.find(Key("PersistentVolumeClaim", namespace, name))
        bound = claim.spec.volume_name if isinstance(claim, PersistentVolumeClaim) else ""
        volume = self._store.find(Key("PersistentVolume", "", bound)) if bound else None
        if not isinstance(volume, PersistentVolume) or volume.spec.csi is None:
            raise NotFound(f"claim {namespace}/{name} has no volume of ours to copy")
        return volume.spec.csi.volume_handle

    def directory(self, pool: str) -> Directory:
        return Directory(Path(self.pool(pool).directory))

    def path(self, volume: StorageVolume) -> Path:
        return self.directory(volume.pool).volume(volume.id)

    def is_staged(self, volume: StorageVolume) -> bool:
        """By the kernel: the record only says where to look."""
        device = loop.find(self.path(volume))
        if device is None:
            return False
        return volume.is_block or (volume.staged is not None and staging.is_at(device, Path(volume.staged.path)))

    @contextmanager
    def only(self, *ids: str) -> Iterator[None]:
        """Nobody else works on these meanwhile. Raises Busy."""
        with self._lock:
            if busy := [each for each in ids if each in self._busy]:
                raise Busy(f"{busy[0]} is being worked on", hint="try again")
            self._busy.update(ids)
        try:
            yield
        finally:
            with self._lock:
                self._busy.difference_update(ids)

    def _find(self, kind: str, id: str, wanted: type[ObjectT]) -> ObjectT | None:
        found = self._store.find(Key(kind, "", id))
        return found if isinstance(found, wanted) else None

    def _all(self, kind: str, wanted: type[ObjectT]) -> list[ObjectT]:
        return [each for each in self._store.list(kind)[0] if isinstance(each, wanted)]


def kind_of(volume: StorageVolume | StorageSnapshot) -> Kind | None:
    return Kind(volume.fs_type) if volume.fs_type else None
