"""Volumes and snapshots made: a record, a draft, its place, the record again.

Idempotent by the caller's name: what is there already is given again, if it is what was asked for. A copy of a mounted
filesystem is cut while it is frozen, which takes a moment where the pool shares blocks between files; where it cannot, a
volume in use is not copied, because its writers would wait for as long as that takes.
"""

from __future__ import annotations

import time
import uuid as uuids
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from agent.errors import AlreadyExists, Exhausted, InvalidObject, OutOfRange, Unsupported
from agent.kernel import filesystem
from agent.objects.meta import ObjectMeta
from agent.objects.storage import State, StorageSnapshot, StorageVolume, snapshot_id, volume_id
from agent.store.base import ObjectT, Store
from agent.volume.pool import image, parameters
from agent.volume.pool.catalog import Catalog, kind_of


@dataclass(frozen=True, slots=True)
class NewVolume:
    """Sizes in bytes, 0 is not given; at most one source, by id. `mutable` wins over `parameters`."""

    name: str
    required_bytes: int = 0
    limit_bytes: int = 0
    is_block: bool = False
    fs_type: str = ""
    parameters: dict[str, str] | None = None
    mutable: dict[str, str] | None = None
    source_snapshot: str = ""
    source_volume: str = ""


class Maker:
    def __init__(self, store: Store, catalog: Catalog, clock: Callable[[], float] = time.time) -> None:
        self._store, self._catalog, self._clock = store, catalog, clock

    def create(self, wanted: NewVolume) -> StorageVolume:
        id = volume_id(wanted.name)
        with self._catalog.only(id):
            planned = self._planned(id, wanted)
            known = self._catalog.find(id)
            if known is not None and known.state is State.READY:
                return self._same(known, planned, wanted)
            sources = [source for source in (wanted.source_volume,) if source]
            with self._catalog.only(*sources):
                return self._make(planned, known)

    def create_snapshot(self, name: str, source: str) -> StorageSnapshot:
        """Cut before it returns. Where the pool cannot share blocks, only of a volume that nobody writes."""
        id = snapshot_id(name)
        with self._catalog.only(id, source):
            known = self._catalog.find_snapshot(id)
            if known is not None and known.source_volume != source:
                raise AlreadyExists(f'a snapshot named "{name}" is there, of volume {known.source_volume}')
            if known is not None and known.state is State.READY:
                return known
            volume = self._catalog.get(source)
            planned = StorageSnapshot(
                metadata=ObjectMeta(name=id),
                name=name,
                pool=volume.pool,
                source_volume=source,
                size_bytes=volume.size_bytes,
                fs_type=volume.fs_type,
                is_thin=volume.is_thin,
                created=self._clock(),
            )
            return self._cut(volume, self._record(planned, known))

    def delete_snapshot(self, id: str) -> None:
        """Absent is fine. Volumes made from it keep what they have."""
        with self._catalog.only(id):
            found = self._catalog.find_snapshot(id)
            if found is not None:
                self.remove_snapshot(self._store.update(replace(found, state=State.DELETING)))

    def _planned(self, id: str, wanted: NewVolume) -> StorageVolume:
        given, mutable = wanted.parameters or {}, wanted.mutable or {}
        parameters.mutable(mutable)
        source = self._source(wanted)
        fs_type = wanted.fs_type or (source.fs_type if source is not None and not wanted.is_block else "")
        asked = parameters.read(given, fs_type, wanted.is_block)
        required = max(wanted.required_bytes, source.size_bytes if source is not None else 0)
        if source is not None and wanted.limit_bytes and source.size_bytes > wanted.limit_bytes:
            raise OutOfRange(f"the source has {source.size_bytes} bytes, more than the limit of {wanted.limit_bytes}")
        if source is not None and source.fs_type != (asked.kind or ""):
            raise InvalidObject(f"the source is {source.fs_type or 'a block volume'}, not {asked.kind or 'a block volume'}")
        if source is not None and "pool" in given and given["pool"] != source.pool:
            raise InvalidObject(f"parameters.pool: the source is in pool {source.pool}, a copy is made there")
        size = parameters.size_bytes(required, wanted.limit_bytes, asked.kind)
        self._catalog.pool(asked.pool)
        limits = {name: value for name, value in given.items() if name in ("iops", "bandwidth")}
        return StorageVolume(
            metadata=ObjectMeta(name=id),
            name=wanted.name,
            pool=source.pool if source is not None else asked.pool,
            size_bytes=size,
            fs_type=asked.kind or "",
            fs_uuid=str(uuids.uuid4()) if asked.kind else "",
            is_thin=asked.is_thin,
            parameters=given,
            mutable_parameters={**limits, **mutable},
            source_snapshot=wanted.source_snapshot,
            source_volume=wanted.source_volume,
        )

    def _source(self, wanted: NewVolume) -> StorageVolume | StorageSnapshot | None:
        if wanted.source_snapshot:
            return self._catalog.snapshot(wanted.source_snapshot)
        return self._catalog.get(wanted.source_volume) if wanted.source_volume else None

    def _same(self, known: StorageVolume, planned: StorageVolume, wanted: NewVolume) -> StorageVolume:
        """Asked for again, the same is given again; anything else of that name is refused."""
        fits = known.size_bytes >= wanted.required_bytes and (not wanted.limit_bytes or known.size_bytes <= wanted.limit_bytes)
        for field in ("fs_type", "parameters", "source_snapshot", "source_volume", "pool"):
            if getattr(known, field) != getattr(planned, field) or not fits:
                what = field.replace("_", " ") if fits else "size"
                raise AlreadyExists(f'a volume named "{wanted.name}" is there, with another {what}')
        return known

    def _make(self, planned: StorageVolume, known: StorageVolume | None) -> StorageVolume:
        if planned.size_bytes > (room := self._catalog.space(planned.pool).available_bytes) and known is None:
            raise Exhausted(
                f"pool {planned.pool} has room for {room} bytes, not for {planned.size_bytes}",
                hint="delete volumes, or make the pool larger: podwright pool list",
            )
        record = self._record(planned, known)
        place, draft = self._catalog.directory(record.pool), self._catalog.directory(record.pool).draft(record.id)
        try:
            self._fill(record, draft)
            place.place(draft, place.volume(record.id))
        except BaseException:
            draft.unlink(missing_ok=True)
            self._store.delete(record.key)
            raise
        return self._store.update(replace(record, state=State.READY))

    def _fill(self, record: StorageVolume, draft: Path) -> None:
        place, kind = self._catalog.directory(record.pool), kind_of(record)
        if record.source_snapshot:
            image.copy(place.snapshot(record.source_snapshot), draft)
        elif record.source_volume:
            self._copy_of(self._catalog.get(record.source_volume), draft)
        else:
            options = parameters.read(record.parameters, record.fs_type, record.is_block).mkfs_options
            image.make(draft, image.Shape(record.size_bytes, kind, record.fs_uuid, record.is_thin), options)
            return
        image.become(draft, image.Shape(record.size_bytes, kind, record.fs_uuid, record.is_thin))

    def _cut(self, volume: StorageVolume, record: StorageSnapshot) -> StorageSnapshot:
        place = self._catalog.directory(record.pool)
        draft = place.draft(record.id)
        try:
            self._copy_of(volume, draft)
            place.place(draft, place.snapshot(record.id))
        except BaseException:
            draft.unlink(missing_ok=True)
            self._store.delete(record.key)
            raise
        return self._store.update(replace(record, state=State.READY))

    def _copy_of(self, volume: StorageVolume, draft: Path) -> None:
        """A filesystem that is mounted is frozen for the moment of the copy, so the copy is as clean as an unmounted one."""
        source = self._catalog.path(volume)
        if not self._catalog.is_staged(volume):
            image.copy(source, draft)
            return
        if not filesystem.can_share_blocks(source.parent):
            raise Unsupported(
                f"volume {volume.id} is in use, and pool {volume.pool} cannot share blocks: a copy would hold up its writers",
                hint="unstage it first, or make a pool on xfs: podwright pool create NAME --size 10Gi",
            )
        if volume.is_block or volume.staged is None:
            image.copy(source, draft)
            return
        with filesystem.frozen(Path(volume.staged.path)):
            image.copy(source, draft)

    def _record(self, planned: ObjectT, known: ObjectT | None) -> ObjectT:
        """The intent. One that an earlier attempt left is taken over."""
        return self._store.create(planned) if known is None else self._store.update(replace(planned, metadata=known.metadata))

    def remove_snapshot(self, record: StorageSnapshot) -> None:
        """Of one whose record says that it is being deleted."""
        place = self._catalog.directory(record.pool)
        place.discard(place.snapshot(record.id))
        self._store.delete(record.key)
