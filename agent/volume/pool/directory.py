"""A pool on disk.

    DIR/volumes/ID      images of volumes, complete
    DIR/snapshots/ID    images of snapshots, complete
    DIR/making/ID       drafts: whatever is here at start was not finished
    DIR/trash/          on the way out

A file gets its place by rename, when all of it is on disk, and leaves it by rename before it is removed. What is found
that no record knows is somebody's data until a person says otherwise: it is listed, never deleted.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.killpoint import reach

_PLACES = ("volumes", "snapshots", "making", "trash")


@dataclass(frozen=True, slots=True)
class Directory:
    path: Path

    def ensure_(self) -> None:
        for name in _PLACES:
            (self.path / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def is_there(self) -> bool:
        """False when the file system it is on is not mounted: an empty directory in its place must not be taken for it."""
        return (self.path / "volumes").is_dir()

    def remove_(self) -> None:
        """The empty places. What is in one keeps it."""
        for name in _PLACES:
            try:
                (self.path / name).rmdir()
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.ENOENT):
                    raise

    def volume(self, id: str) -> Path:
        return self.path / "volumes" / id

    def snapshot(self, id: str) -> Path:
        return self.path / "snapshots" / id

    def draft(self, id: str) -> Path:
        return self.path / "making" / id

    def place(self, draft: Path, target: Path) -> None:
        """The draft is complete and on disk: from here on it is the image."""
        reach(f"rename before {draft} {target}")
        os.rename(draft, target)
        _sync(target.parent)
        reach(f"rename after {draft} {target}")

    def discard(self, image: Path) -> None:
        """Absent is fine. By way of the trash: a name in volumes/ is either whole or not there."""
        doomed = self.path / "trash" / image.name
        reach(f"unlink before {image}")
        with suppress(FileNotFoundError):
            os.rename(image, doomed)
            _sync(image.parent)
        doomed.unlink(missing_ok=True)
        reach(f"unlink after {image}")

    def sweep(self) -> None:
        """At start: what was not finished, and what was on its way out."""
        for name in ("making", "trash") if self.is_there else ():
            for leftover in (self.path / name).iterdir():
                if leftover.is_file() and not leftover.is_symlink():
                    leftover.unlink()

    def unknown(self, volumes: Collection[str], snapshots: Collection[str]) -> list[Path]:
        """Files in the places of images that no record knows."""
        known = {"volumes": volumes, "snapshots": snapshots}
        if not self.is_there:
            return []
        return [path for place, ids in known.items() for path in sorted((self.path / place).iterdir()) if path.name not in ids]


def allocated_bytes(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
