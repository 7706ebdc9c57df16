"""Pools made and removed: a directory that the user chooses, or a filesystem that the agent makes in an image.

An image is xfs, whose files share blocks: a snapshot of 512 MiB takes milliseconds there and seconds elsewhere. The default
pool is a directory on the root filesystem, because nothing may take a large part of a disk without being asked.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from loguru import logger

from agent.errors import AlreadyExists, Exhausted, InUse, InvalidObject, NotFound, PodwrightError
from agent.kernel import filesystem, libc, loop, mount
from agent.kernel.filesystem import Kind
from agent.objects.meta import Key, ObjectMeta
from agent.objects.names import dns_label_problem
from agent.objects.storage import StoragePool
from agent.store.base import Store
from agent.volume.pool import image
from agent.volume.pool.catalog import Catalog
from agent.volume.pool.directory import Directory

_SMALLEST_BYTES = 512 << 20
_KEPT_FREE_BYTES = 1 << 30
"""On the filesystem that holds an image: the machine needs room too."""


class Pools:
    """`home`: where images of pools and their mount points are."""

    def __init__(self, store: Store, catalog: Catalog, home: Path) -> None:
        self._store, self._catalog, self._home = store, catalog, home

    def start(self) -> None:
        """Every pool's filesystem mounted, its places there. One that cannot be had keeps neither the others nor pods from us."""
        for pool in self._catalog.pools():
            place = Directory(Path(pool.directory))
            try:
                self._ensure_mounted(pool)
                if pool.image or not pool.metadata.uid:  # made by us: what is missing is made again
                    place.ensure_()
                elif not place.is_there:
                    logger.error("pool {}: {} has no volumes/: is its file system mounted?", pool.metadata.name, place.path)
            except (PodwrightError, OSError) as error:
                logger.error("pool {} cannot be used: {}", pool.metadata.name, error)

    def stop(self) -> None:
        """No mount of ours is left; the next start finds the images. Empty places of a pool without volumes go."""
        for pool in self._catalog.pools():
            path = Path(pool.directory)
            if pool.image:
                mount.remove_(path)
            elif path.is_dir():
                Directory(path).remove_()
        with suppress(OSError):  # volumes or another's files are in it
            self._catalog.default_directory.rmdir()

    def create(self, name: str, *, directory: str = "", size_bytes: int = 0, overcommit: float = 1.0) -> StoragePool:
        """In a directory, or of a size. Raises AlreadyExists for a name that is taken."""
        if problem := dns_label_problem(name):
            raise InvalidObject(f"name: {problem}")
        if bool(directory) == bool(size_bytes):
            raise InvalidObject(
                "give either a directory for the pool or a size for an image", hint="podwright pool create fast --size 10Gi"
            )
        if overcommit < 1:
            raise InvalidObject(f"overcommit: {overcommit} is less than 1")
        if self._store.find(Key("StoragePool", "", name)) is not None:
            raise AlreadyExists(f"pool {name} is there already")
        pool = self._in_directory(name, directory) if directory else self._with_image(name, size_bytes)
        if pool.image:
            self._make_image(pool)
        created = self._store.create(
            StoragePool(
                metadata=pool.metadata, directory=pool.directory, image=pool.image, size_bytes=pool.size_bytes, overcommit=overcommit
            )
        )
        self._ensure_mounted(created)
        Directory(Path(created.directory)).ensure_()
        return created

    def delete(self, name: str) -> None:
        """Raises InUse while there are volumes or snapshots in it. A directory of the user's stays, empty of ours."""
        pool = self._store.find(Key("StoragePool", "", name))
        if not isinstance(pool, StoragePool):
            raise NotFound(f"there is no pool {name}")
        left = [volume.id for volume in self._catalog.list_() if volume.pool == name]
        left += [snapshot.id for snapshot in self._catalog.snapshots() if snapshot.pool == name]
        if left:
            raise InUse(f"pool {name} has {len(left)} volumes and snapshots, such as {left[0]}", hint="delete them first")
        if pool.image:
            mount.remove_(Path(pool.directory))
            loop.detach(Path(pool.image))
        self._store.delete(pool.key)
        if pool.image:
            Path(pool.image).unlink(missing_ok=True)
            Path(pool.directory).rmdir()
        else:
            Directory(Path(pool.directory)).remove_()

    def _in_directory(self, name: str, directory: str) -> StoragePool:
        path = Path(directory)
        if not path.is_absolute() or not path.is_dir():
            raise InvalidObject(
                f"directory: {directory} is not a directory that is there", hint="make it first, on the filesystem of your choice"
            )
        if any(path.iterdir()):
            raise InvalidObject(f"directory: {directory} is not empty", hint="give the pool a directory of its own")
        return StoragePool(metadata=ObjectMeta(name=name), directory=str(path.resolve()))

    def _with_image(self, name: str, size_bytes: int) -> StoragePool:
        if size_bytes < _SMALLEST_BYTES:
            raise InvalidObject(f"size: {size_bytes} bytes are too few for a pool, give at least {_SMALLEST_BYTES >> 20}Mi")
        self._home.mkdir(parents=True, exist_ok=True)
        free = filesystem.usage(self._home).available_bytes
        if size_bytes > free - _KEPT_FREE_BYTES:
            raise Exhausted(f"{self._home} has {free} bytes free, a pool of {size_bytes} would leave less than {_KEPT_FREE_BYTES}")
        path = self._home / name
        return StoragePool(metadata=ObjectMeta(name=name), directory=str(path), image=str(path.with_suffix(".img")), size_bytes=size_bytes)

    def _make_image(self, pool: StoragePool) -> None:
        """Thick: a pool that runs out of room under its volumes breaks them all. What a crash left is made anew."""
        path = Path(pool.image)
        draft = path.with_name(f".{path.name}.making")
        image.make(draft, image.Shape(pool.size_bytes, Kind.XFS, "", is_thin=False), ("-m", "reflink=1"))
        draft.rename(path)

    def _ensure_mounted(self, pool: StoragePool) -> None:
        target = Path(pool.directory)
        if not pool.image or mount.is_mount_point(target):
            return
        target.mkdir(parents=True, exist_ok=True)
        with loop.attached(Path(pool.image)) as device:
            mount.mount_device(device.path, target, Kind.XFS, flags=libc.MS_NOSUID | libc.MS_NODEV | libc.MS_NOEXEC)
        mount.set_propagation(target.resolve(), mount.Propagation.PRIVATE)
