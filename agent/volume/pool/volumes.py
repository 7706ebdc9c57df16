"""The life of a volume that is there: shown and taken away, grown, changed, deleted; and what a restarted agent does first.

A record before each act, an act that can be repeated, a record after it: what is found after a crash is finished or undone
from the record alone.
"""

from __future__ import annotations

from pathlib import Path

from loguru import logger
from msgspec.structs import replace

from agent.errors import AlreadyExists, Exhausted, InUse, InvalidObject, NotFound, OutOfRange, PodwrightError, Unsupported
from agent.kernel import filesystem, loop, mount
from agent.kernel.filesystem import Kind
from agent.objects.storage import Published, Staged, State, StorageSnapshot, StorageVolume
from agent.store.base import Store
from agent.volume.pool import image, parameters, staging
from agent.volume.pool.catalog import Catalog, kind_of
from agent.volume.pool.maker import Maker

_SINGLE_WRITERS = frozenset({"SINGLE_NODE_WRITER", "SINGLE_NODE_SINGLE_WRITER", "SINGLE_NODE_READER_ONLY", "MULTI_NODE_SINGLE_WRITER"})
"""Access modes of which a node may have one path at a time."""


class Volumes:
    """`catalog` finds, `maker` makes; the rest is here."""

    def __init__(self, store: Store, catalog: Catalog, maker: Maker) -> None:
        self._store = store
        self.catalog, self.maker = catalog, maker

    def start(self) -> None:
        """After the pools are there: what an earlier agent was in the middle of is finished or undone."""
        for found in self.catalog.list_():
            self._resume(found)
        for snapshot in self.catalog.snapshots():
            self._resume_snapshot(snapshot)
        for pool in self.catalog.pools():
            self.catalog.directory(pool.metadata.name).sweep()

    def delete(self, id: str) -> None:
        """Absent is fine. Raises InUse while it is staged or attached."""
        with self.catalog.only(id):
            found = self.catalog.find(id)
            if found is None:
                return
            path = self.catalog.path(found)
            if (device := loop.find(path)) is not None:
                raise InUse(f"volume {id} is in use: it is attached to {device.path}", hint="unpublish and unstage it first")
            self._remove(self._store.update(replace(found, state=State.DELETING)))

    def expand(self, id: str, required: int, limit: int = 0) -> StorageVolume:
        """Longer, with its filesystem when that can grow now; `needs_growth` says that it could not. Never shorter."""
        with self.catalog.only(id):
            found = self.catalog.get(id)
            wanted = max(parameters.size_bytes(required, limit, kind_of(found)), 0)
            if wanted <= found.size_bytes:
                if limit and found.size_bytes > limit:
                    raise OutOfRange(f"volume {id} has {found.size_bytes} bytes already, more than the limit of {limit}")
                return found
            missing = wanted - found.size_bytes
            if missing > self.catalog.space(found.pool).available_bytes:
                raise Exhausted(f"pool {found.pool} has no room for {missing} bytes more", hint="podwright pool list shows what is free")
            return self._grow(self._store.update(replace(found, target_bytes=wanted)))

    def grow(self, id: str) -> StorageVolume:
        """The filesystem to the size of its image, where an earlier attempt could not."""
        with self.catalog.only(id):
            found = self.catalog.get(id)
            return self._grow_filesystem(found) if found.needs_growth else found

    def modify(self, id: str, changes: dict[str, str]) -> StorageVolume:
        """All or nothing; what is not named stays."""
        parameters.mutable(changes)
        with self.catalog.only(id):
            found = self.catalog.get(id)
            return self._store.update(replace(found, mutable_parameters={**found.mutable_parameters, **changes}))

    def stage(self, id: str, wanted: Staged) -> None:
        options = staging.mount_options(wanted.mount_flags)
        with self.catalog.only(id):
            found = self.catalog.get(id)
            kind = kind_of(found)
            if kind is not None and wanted.fs_type not in ("", kind):
                raise InvalidObject(f"volume {id} has filesystem {kind}, not {wanted.fs_type}")
            if found.staged is not None and found.staged != wanted and self.catalog.is_staged(found):
                raise AlreadyExists(f"volume {id} is staged at {found.staged.path} with other options")
            if found.staged != wanted:
                found = self._store.update(replace(found, staged=wanted))
            if kind is None:
                staging.attach(self.catalog.path(found))
                return
            target = Path(wanted.path)
            if not target.is_dir():
                raise NotFound(f"the staging path {target} is not there")
            staging.stage(self.catalog.path(found), target, kind, options)
            if found.needs_growth:
                found = self._grow_filesystem(found)
            if wanted.group:
                staging.own(target, _gid(wanted.group))

    def unstage(self, id: str, path: str) -> None:
        """Absent is fine, so is a volume that is gone."""
        with self.catalog.only(id):
            found = self.catalog.find(id)
            if found is None:
                return
            staging.unstage(self.catalog.path(found), Path(path))
            if found.staged is not None:
                self._store.update(replace(found, staged=None))

    def publish(self, id: str, wanted: Published, staged: str) -> None:
        with self.catalog.only(id):
            found = self.catalog.get(id)
            self._refuse_second(found, wanted)
            if wanted not in found.published:
                found = self._store.update(replace(found, published=(*found.published, wanted)))
            target = Path(wanted.path)
            if not target.parent.is_dir():
                raise NotFound(f"the directory {target.parent} is not there")
            if found.is_block:
                staging.publish_device(self.catalog.path(found), target, is_read_only=wanted.is_read_only)
            else:
                staging.publish(self.catalog.path(found), Path(staged), target, is_read_only=wanted.is_read_only)

    def unpublish(self, id: str, path: str) -> None:
        """Absent is fine."""
        with self.catalog.only(id):
            found = self.catalog.find(id)
            staging.unpublish(Path(path), self.catalog.path(found) if found is not None else None)
            if found is None:
                return
            left = tuple(each for each in found.published if each.path != path)
            if left != found.published:
                self._store.update(replace(found, published=left))

    def trim(self, id: str) -> None:
        """A thick volume gets its blocks again at once: they were promised."""
        with self.catalog.only(id):
            found = self.catalog.get(id)
            if found.is_block or found.staged is None or not self.catalog.is_staged(found):
                raise InvalidObject(f"volume {id} is not mounted: only the files of a mounted one say what is free in it")
            filesystem.trim(Path(found.staged.path))
            if not found.is_thin:
                image.lengthen(self.catalog.path(found), found.size_bytes, is_thin=False)

    def check(self, id: str) -> None:
        """Raises CommandFailed when it is damaged, InUse while it is used."""
        with self.catalog.only(id):
            found, kind = self.catalog.get(id), kind_of(self.catalog.get(id))
            if kind is None:
                raise InvalidObject(f"volume {id} is a block volume: what is in it is its user's to check")
            if loop.find(self.catalog.path(found)) is not None:
                raise InUse(f"volume {id} is in use", hint="stop the pods that use it, then check it")
            filesystem.check(kind, self.catalog.path(found))

    def usage(self, id: str, path: str) -> filesystem.Usage:
        found = self.catalog.get(id)
        return staging.usage(self.catalog.path(found), Path(path), is_block=found.is_block)

    def _grow(self, record: StorageVolume) -> StorageVolume:
        path = self.catalog.path(record)
        try:
            image.lengthen(path, record.target_bytes, is_thin=record.is_thin)
        except Exhausted:
            self._store.update(replace(record, target_bytes=0))
            raise
        if (device := loop.find(path)) is not None:
            loop.grow(device)
        grown = self._store.update(replace(record, size_bytes=record.target_bytes, target_bytes=0, needs_growth=not record.is_block))
        return grown if record.is_block else self._grow_filesystem(grown)

    def _grow_filesystem(self, record: StorageVolume) -> StorageVolume:
        path, kind = self.catalog.path(record), kind_of(record)
        assert kind is not None
        device = loop.find(path)
        try:
            if device is None:
                if kind is Kind.XFS:
                    return record  # grows only mounted: at the next stage
                filesystem.grow_unmounted(kind, path)
            elif record.staged is not None:
                filesystem.grow_mounted(kind, device.path, Path(record.staged.path))
        except Unsupported as error:
            logger.info("volume {}: {}", record.id, error.message)
            return record
        return self._store.update(replace(record, needs_growth=False))

    def _resume(self, found: StorageVolume) -> None:
        try:
            if found.state is State.CREATING:
                self._resume_creation(found)
            elif found.state is State.DELETING:
                self._remove(found)
            elif found.target_bytes:
                self._grow(found)
            if found.staged is not None and not found.is_block and self.catalog.is_staged(found):
                filesystem.thaw(Path(found.staged.path))
        except PodwrightError as error:
            logger.error("volume {}: {}", found.id, error.message)

    def _resume_creation(self, found: StorageVolume) -> None:
        """Placed is complete. What was only a draft is nothing: whoever wanted it asks again."""
        if self.catalog.path(found).exists():
            self._store.update(replace(found, state=State.READY))
        else:
            self._store.delete(found.key)

    def _resume_snapshot(self, found: StorageSnapshot) -> None:
        if found.state is State.DELETING:
            self.maker.remove_snapshot(found)
        elif found.state is State.CREATING:
            if self.catalog.directory(found.pool).snapshot(found.id).exists():
                self._store.update(replace(found, state=State.READY))
            else:
                self._store.delete(found.key)

    def _remove(self, record: StorageVolume) -> None:
        self.catalog.directory(record.pool).discard(self.catalog.path(record))
        self._store.delete(record.key)

    def _refuse_second(self, found: StorageVolume, wanted: Published) -> None:
        for known in found.published:
            if known.path == wanted.path and known != wanted:
                raise AlreadyExists(f"volume {found.id} is at {known.path} already, with other options")
            if known.path != wanted.path and wanted.access in _SINGLE_WRITERS and mount.is_mount_point(Path(known.path)):
                raise InUse(f"volume {found.id} is at {known.path} already, and {wanted.access} allows one path")


def _gid(text: str) -> int:
    if not text.isdecimal():
        raise InvalidObject(f'volume_mount_group: "{text}" is not the number of a group')
    return int(text)
