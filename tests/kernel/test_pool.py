"""Volumes in a pool: real images, real loops, real filesystems. Each test reads like a use of the driver."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import AlreadyExists, Exhausted, InUse, InvalidObject, NotFound, OutOfRange
from agent.kernel import filesystem, loop, mount
from agent.kernel.filesystem import Kind
from agent.objects.storage import Published, Staged, State, StorageVolume
from agent.store.sqlite import SqliteStore
from agent.volume.pool.catalog import Catalog
from agent.volume.pool.maker import Maker, NewVolume
from agent.volume.pool.pools import Pools
from agent.volume.pool.volumes import Volumes

pytestmark = [pytest.mark.kernel, pytest.mark.needs("mkfs.ext4", "/dev/loop-control")]
MI = 1 << 20
WRITER = "SINGLE_NODE_WRITER"


class Place:
    """A store and pools in a directory; `restart` is a new agent on what the old one left."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = SqliteStore(root / "state.db")
        self.restart(reopen=False)

    def restart(self, *, reopen: bool = True) -> None:
        if reopen:
            self.store.close()
            self.store = SqliteStore(self.root / "state.db")
        catalog = Catalog(self.store, self.root / "default")
        self.pools = Pools(self.store, catalog, self.root / "pools")
        self.volumes = Volumes(self.store, catalog, Maker(self.store, catalog))
        self.pools.start()
        self.volumes.start()

    def make(self, name: str = "data", size: int = 32 * MI, **wanted: object) -> StorageVolume:
        return self.volumes.maker.create(NewVolume(name, required_bytes=size, **wanted))  # type: ignore[arg-type]

    def image(self, volume: StorageVolume) -> Path:
        return self.volumes.catalog.path(volume)

    def directory(self, name: str) -> Path:
        path = self.root / name
        path.mkdir(exist_ok=True)
        return path

    def stage(self, volume: StorageVolume, name: str = "stage") -> Path:
        path = self.directory(name)
        self.volumes.stage(volume.id, Staged(path=str(path)))
        return path

    def publish(self, volume: StorageVolume, staged: Path, name: str = "pod", access: str = WRITER, *, ro: bool = False) -> Path:
        target = self.root / name
        self.volumes.publish(volume.id, Published(path=str(target), access=access, is_read_only=ro), str(staged))
        return target

    def end(self) -> None:
        for target in mount.below(self.root):
            mount.remove_(target)
        for volume in self.volumes.catalog.list_():
            loop.detach(self.image(volume))
        self.store.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path)
    yield found
    found.end()


def test_a_volume_from_creation_to_deletion(place: Place) -> None:
    volume = place.make()
    staged = place.stage(volume)
    target = place.publish(volume, staged)
    (target / "file").write_text("kept")
    assert (staged / "file").read_text() == "kept"
    place.volumes.unpublish(volume.id, str(target))
    place.volumes.unstage(volume.id, str(staged))
    assert not target.exists(), "the target was made by us"
    assert staged.is_dir(), "the staging directory was not"
    assert loop.find(place.image(volume)) is None

    assert (place.stage(volume) / "file").read_text() == "kept"
    with pytest.raises(InUse):
        place.volumes.delete(volume.id)
    place.volumes.unstage(volume.id, str(staged))
    place.volumes.delete(volume.id)
    assert place.volumes.catalog.list_() == []
    assert not any(path.is_file() for path in (place.root / "default").rglob("*"))


@pytest.mark.parametrize("twice", ["create", "stage", "publish", "unpublish", "unstage", "delete"])
def test_every_call_can_come_twice(place: Place, twice: str) -> None:
    times = {twice: 2}
    for _ in range(times.get("create", 1)):
        volume = place.make()
    for _ in range(times.get("stage", 1)):
        staged = place.stage(volume)
    for _ in range(times.get("publish", 1)):
        target = place.publish(volume, staged)
    assert len([m for m in mount.list_() if m.target == str(target)]) == 1, "mounts do not pile up"
    for _ in range(times.get("unpublish", 1)):
        place.volumes.unpublish(volume.id, str(target))
    for _ in range(times.get("unstage", 1)):
        place.volumes.unstage(volume.id, str(staged))
    for _ in range(times.get("delete", 1)):
        place.volumes.delete(volume.id)


def test_thick_is_allocated_and_thin_is_not(place: Place) -> None:
    thick, thin = place.make("thick"), place.make("thin", parameters={"allocation": "thin"})
    assert place.image(thick).stat().st_blocks * 512 >= 32 * MI
    assert place.image(thin).stat().st_blocks * 512 < 8 * MI


def test_a_new_filesystem_is_clean_and_has_4096_byte_sectors(place: Place) -> None:
    volume = place.make()
    filesystem.check(Kind.EXT4, place.image(volume))
    place.stage(volume)
    device = loop.find(place.image(volume))
    assert device is not None
    sectors = Path(f"/sys/block/loop{device.number}/queue/logical_block_size").read_text()
    assert int(sectors) == 4096


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ({"parameters": {"fs": "ext4"}}, InvalidObject),
        ({"parameters": {"fsType": "btrfs"}}, InvalidObject),
        ({"parameters": {"mkfsOptions": "-O casefold -E root_owner=0:0"}}, InvalidObject),
        ({"parameters": {"pool": "elsewhere"}}, InvalidObject),
        ({"parameters": {"iops": "many"}}, InvalidObject),
        ({"size": 0, "limit_bytes": 100}, OutOfRange),
        ({"size": 4097, "limit_bytes": 4097}, OutOfRange),
        ({"size": 1 << 50}, OutOfRange),
        ({"size": 1 << 42}, Exhausted),
        ({"source_volume": "vol-none"}, NotFound),
        ({"source_snapshot": "snap-none"}, NotFound),
    ],
    ids=str,
)
def test_what_cannot_be_made_leaves_nothing(place: Place, wanted: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        place.make(**wanted)  # type: ignore[arg-type]
    assert place.volumes.catalog.list_() == []
    assert not any(path.is_file() for path in (place.root / "default").rglob("*"))


def test_the_same_name_gives_the_same_volume_and_nothing_else(place: Place) -> None:
    volume = place.make(limit_bytes=64 * MI)
    assert place.make(size=16 * MI) == volume, "it is large enough"
    for other in ({"size": 64 * MI}, {"parameters": {"fsType": "ext4"}}, {"is_block": True}):
        with pytest.raises(AlreadyExists):
            place.make(**other)  # type: ignore[arg-type]


def test_a_staging_path_that_is_not_our_mount_is_refused(place: Place) -> None:
    """After a reboot it is a plain directory: what a pod writes there would be on the root filesystem."""
    volume = place.make()
    staged = place.stage(volume)
    mount.remove_(staged)
    with pytest.raises(InUse, match="not staged"):
        place.publish(volume, staged)


def test_one_writer_one_path(place: Place) -> None:
    volume = place.make()
    staged = place.stage(volume)
    place.publish(volume, staged, "first")
    with pytest.raises(InUse):
        place.publish(volume, staged, "second")
    place.publish(volume, staged, "third", "SINGLE_NODE_MULTI_WRITER")


def test_read_only(place: Place) -> None:
    volume = place.make()
    target = place.publish(volume, place.stage(volume), ro=True)
    with pytest.raises(OSError, match="Read-only"):
        (target / "file").touch()


def test_a_block_volume(place: Place) -> None:
    volume = place.make(is_block=True)
    place.volumes.stage(volume.id, Staged(path=""))
    target = place.publish(volume, Path("/"), "device")
    fd = os.open(target, os.O_RDWR)
    os.pwrite(fd, b"block", 4096)
    os.fsync(fd)
    os.close(fd)
    assert place.image(volume).read_bytes()[4096:4101] == b"block"
    place.volumes.unpublish(volume.id, str(target))
    place.volumes.unstage(volume.id, "")
    assert not target.exists()
    assert loop.find(place.image(volume)) is None


def test_growth_while_nobody_uses_it(place: Place) -> None:
    volume = place.make()
    grown = place.volumes.expand(volume.id, 64 * MI)
    assert (grown.size_bytes, grown.needs_growth) == (64 * MI, False)
    assert place.volumes.usage(volume.id, str(place.stage(volume))).total_bytes > 50 * MI


def test_growth_in_use_is_done_now_or_at_the_next_stage(place: Place) -> None:
    volume = place.make()
    staged = place.stage(volume)
    place.volumes.expand(volume.id, 64 * MI)
    place.volumes.unstage(volume.id, str(staged))
    place.volumes.grow(volume.id)
    assert place.volumes.usage(volume.id, str(place.stage(volume))).total_bytes > 50 * MI


def test_it_never_shrinks(place: Place) -> None:
    volume = place.make()
    assert place.volumes.expand(volume.id, 16 * MI).size_bytes == 32 * MI


def test_a_copy_of_a_volume_and_of_a_snapshot(place: Place) -> None:
    volume = place.make()
    staged = place.stage(volume)
    (staged / "file").write_text("first")
    place.volumes.unstage(volume.id, str(staged))
    snapshot = place.volumes.maker.create_snapshot("morning", volume.id)
    (place.stage(volume) / "file").write_text("second")
    place.volumes.unstage(volume.id, str(staged))

    restored = place.make("restored", 64 * MI, source_snapshot=snapshot.id)
    cloned = place.make("cloned", source_volume=volume.id)
    assert (place.stage(restored, "a") / "file").read_text() == "first"
    assert (place.stage(cloned, "b") / "file").read_text() == "second"
    assert place.volumes.usage(restored.id, str(place.root / "a")).total_bytes > 50 * MI
    assert len({volume.fs_uuid, restored.fs_uuid, cloned.fs_uuid}) == 3
    place.volumes.delete(volume.id)
    assert place.volumes.catalog.snapshot(snapshot.id) == snapshot, "snapshots outlive their volume"
    place.volumes.maker.delete_snapshot(snapshot.id)


def test_drafts_and_trash_of_a_dead_agent_are_removed_and_unknown_files_are_kept(place: Place) -> None:
    volume = place.make()
    home = place.root / "default"
    (home / "making" / "vol-half").write_text("half")
    (home / "trash" / "vol-old").write_text("old")
    (home / "volumes" / "somebodys").write_text("precious")
    record = place.store.update(volume)
    place.store.create(_record(record, "vol-half", State.CREATING))
    place.store.create(_record(record, "vol-old", State.DELETING))
    place.restart()
    assert [v.id for v in place.volumes.catalog.list_()] == [volume.id]
    assert not (home / "making" / "vol-half").exists()
    assert not (home / "trash" / "vol-old").exists()
    assert place.volumes.catalog.unknown_files() == [home / "volumes" / "somebodys"]


def _record(like: StorageVolume, id: str, state: State) -> StorageVolume:
    from msgspec.structs import replace

    return replace(like, metadata=replace(like.metadata, name=id, resource_version="", uid=""), name=id, state=state)


def test_a_restarted_agent_finds_what_is_mounted(place: Place) -> None:
    volume = place.make()
    staged = place.stage(volume)
    target = place.publish(volume, staged)
    (target / "file").write_text("kept")
    place.restart()
    place.stage(volume)
    place.publish(volume, staged)
    assert (target / "file").read_text() == "kept"
    assert len([m for m in mount.list_() if m.target == str(target)]) == 1


@pytest.mark.needs("mkfs.xfs", "filesystem:xfs")
class TestOnXfs:
    """A pool that the agent made shares blocks between files."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        found = Place(tmp_path)
        found.pools.create("fast", size_bytes=1024 * MI)
        yield found
        found.end()
        loop.detach(tmp_path / "pools" / "fast.img")

    def test_a_snapshot_under_load_is_clean(self, place: Place) -> None:
        volume = place.make(size=64 * MI, parameters={"pool": "fast"})
        staged = place.stage(volume)
        with (staged / "file").open("wb") as file:
            file.write(b"x" * MI)
            file.flush()
            os.fsync(file.fileno())
            snapshot = place.volumes.maker.create_snapshot("now", volume.id)
            file.write(b"y" * MI)
        restored = place.make("restored", 64 * MI, source_snapshot=snapshot.id)
        filesystem.check(Kind.EXT4, place.image(restored))
        assert (place.stage(restored, "other") / "file").read_bytes() == b"x" * MI
        place.volumes.unstage(restored.id, str(place.root / "other"))

    def test_an_xfs_volume_cloned_and_grown_while_it_is_used(self, place: Place) -> None:
        volume = place.make(size=300 * MI, parameters={"pool": "fast", "fsType": "xfs", "allocation": "thin"})
        staged = place.stage(volume)
        (staged / "file").write_text("kept")
        clone = place.make("clone", 320 * MI, source_volume=volume.id, parameters={"pool": "fast", "fsType": "xfs", "allocation": "thin"})
        other = place.stage(clone, "other")
        assert (other / "file").read_text() == "kept"
        before = place.volumes.usage(volume.id, str(staged)).total_bytes
        assert place.volumes.expand(volume.id, 340 * MI).needs_growth is False
        assert place.volumes.usage(volume.id, str(staged)).total_bytes == before + 40 * MI
        for id, path in ((volume.id, staged), (clone.id, other)):
            place.volumes.unstage(id, str(path))

    def test_a_pool_with_volumes_is_not_deleted(self, place: Place) -> None:
        volume = place.make(parameters={"pool": "fast"})
        with pytest.raises(InUse):
            place.pools.delete("fast")
        place.volumes.delete(volume.id)
        place.pools.delete("fast")
        assert not (place.root / "pools" / "fast.img").exists()

    def test_the_pool_is_back_after_a_reboot(self, place: Place) -> None:
        volume = place.make(parameters={"pool": "fast"})
        mount.remove_(place.root / "pools" / "fast")
        place.restart()
        assert place.image(volume).exists()
