"""What has cost the users of other storage drivers their data, tried on ours."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import InUse, PodwrightError
from agent.kernel import filesystem, loop, mount
from agent.kernel.filesystem import Kind
from agent.objects.storage import Published
from tests.kernel.test_pool import MI, WRITER, Place

pytestmark = [pytest.mark.kernel, pytest.mark.needs("mkfs.ext4", "/dev/loop-control")]
_EXT4_SHUTDOWN, _NO_FLUSH = 0x8004587D, 2


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path)
    yield found
    found.end()


def test_one_image_is_never_on_two_loops(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(MI))
    with loop.attached(image) as one, loop.attached(image) as two:
        assert one == two
    assert loop.find(image) is None
    foreign = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, text=True, check=True).stdout.strip()
    with pytest.raises(InUse, match=f"attached to {foreign} by somebody else"), loop.attached(image):
        pass
    subprocess.run(["losetup", "--detach", foreign], check=True)


def test_an_image_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic links") as caught, loop.attached(tmp_path / "image"):
        pass
    assert caught.value.errno == errno.ELOOP


def test_loops_have_4096_byte_sectors_and_go_with_their_mount(place: Place) -> None:
    volume = place.make()
    staged = place.stage(volume)
    device = loop.find(place.image(volume))
    assert device is not None
    assert device.is_autoclear
    queue = Path(f"/sys/block/loop{device.number}")
    assert (queue / "queue/logical_block_size").read_text() == "4096\n"
    assert device.is_direct == ((queue / "loop/dio").read_text() == "1\n")
    place.volumes.unstage(volume.id, str(staged))
    assert loop.find(place.image(volume)) is None


def test_an_empty_staging_directory_is_never_published(place: Place) -> None:
    """After a reboot it is there and is no mount: the pod would write to the node's own disk."""
    volume = place.make()
    staged = place.directory("stage")
    for _ in ("nothing is mounted", "something else is"):
        with pytest.raises(InUse, match="is not staged"):
            place.publish(volume, staged)
        mount.ensure_tmpfs(staged)
    with pytest.raises(InUse, match="something else is mounted"):
        place.stage(volume)


def test_what_others_mounted_is_not_taken_down(place: Place) -> None:
    volume = place.make()
    staged = place.stage(volume)
    foreign = place.directory("foreign")
    mount.ensure_tmpfs(foreign)
    (foreign / "precious").touch()
    with pytest.raises(InUse, match="is not this volume"):
        place.volumes.unstage(volume.id, str(foreign))
    with pytest.raises(InUse, match="is not this volume"):
        place.volumes.unpublish(volume.id, str(foreign))
    with pytest.raises(InUse, match="something else is mounted"):
        place.publish(volume, staged, "foreign")
    assert (foreign / "precious").exists()


def test_files_in_the_way_of_a_mount_point_are_kept(place: Place) -> None:
    volume = place.make()
    (target := place.directory("target")).joinpath("precious").touch()
    with pytest.raises((PodwrightError, OSError)):
        place.volumes.unpublish(volume.id, str(target))
    assert (target / "precious").exists()


def test_a_device_that_a_pod_still_has_is_not_given_back(place: Place) -> None:
    """The bind mount of a loop's node does not hold the loop: the number would be another image's, and the pod would write to that."""
    volume = place.make(size=MI, is_block=True)
    staged = place.stage(volume)
    target = place.root / "device"
    place.volumes.publish(volume.id, Published(path=str(target), access=WRITER), str(staged))
    with pytest.raises(InUse, match="still shown at"):
        place.volumes.unstage(volume.id, str(staged))
    assert loop.find(place.image(volume)) is not None
    place.volumes.unpublish(volume.id, str(target))
    place.volumes.unstage(volume.id, str(staged))
    assert loop.find(place.image(volume)) is None


def test_a_volume_is_never_formatted_again(place: Place) -> None:
    volume = place.make()
    with place.image(volume).open("r+b") as file:
        file.write(bytes(64 * 1024))  # the superblock is gone: a driver that guesses would make a new one
    with pytest.raises(PodwrightError):
        place.stage(volume)
    with place.image(volume).open("rb") as file:
        assert file.read(64 * 1024) == bytes(64 * 1024)


def test_a_power_cut_keeps_what_was_acknowledged(place: Place) -> None:
    volume = place.make()
    staged = place.stage(volume)
    with (staged / "file").open("wb") as file:
        file.write(b"acknowledged" * 1000)
        file.flush()
        os.fsync(file.fileno())
    fd = os.open(staged, os.O_RDONLY)
    fcntl.ioctl(fd, _EXT4_SHUTDOWN, struct.pack("I", _NO_FLUSH))
    os.close(fd)
    with pytest.raises(OSError, match="Input/output error"):
        (staged / "new").touch()
    place.volumes.unstage(volume.id, str(staged))
    assert (place.stage(volume) / "file").read_bytes() == b"acknowledged" * 1000
    place.volumes.unstage(volume.id, str(staged))
    filesystem.check(Kind.EXT4, place.image(volume))


def test_what_a_dead_agent_froze_is_thawed(place: Place) -> None:
    staged = place.stage(place.make())
    filesystem.freeze(staged)
    place.restart()
    (staged / "file").write_text("written")


def test_what_a_program_holds_is_not_deleted(place: Place) -> None:
    volume = place.make()
    staged = place.stage(volume)
    with (staged / "file").open("w"):
        place.volumes.unstage(volume.id, str(staged))
        with pytest.raises(InUse, match="attached to"):
            place.volumes.delete(volume.id)
    place.volumes.delete(volume.id)


def test_a_pool_whose_disk_is_missing_is_left_and_keeps_nobody_from_starting(place: Place, tmp_path: Path) -> None:
    disk = place.directory("disk")
    mount.ensure_tmpfs(disk)
    (disk / "pool").mkdir()
    place.pools.create("far", directory=str(disk / "pool"))
    volume = place.make(parameters={"pool": "far", "allocation": "thin"})
    content = Path(place.image(volume)).stat().st_size
    mount.set_propagation(disk, mount.Propagation.PRIVATE)
    (tmp_path / "aside").mkdir()
    subprocess.run(["mount", "--make-private", str(tmp_path)], check=False)
    mount.ensure_bind(disk, tmp_path / "aside")
    mount.remove_(disk)
    (disk / "pool").mkdir()
    place.restart()
    assert list((disk / "pool").iterdir()) == [], "nothing is made on the node's own disk"
    with pytest.raises((PodwrightError, OSError)):
        place.make("other", parameters={"pool": "far"})
    assert list((disk / "pool").iterdir()) == []
    (disk / "pool").rmdir()
    mount.ensure_bind(tmp_path / "aside", disk)
    place.restart()
    assert place.image(volume).stat().st_size == content
