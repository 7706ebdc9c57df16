"""Writes a payload so that a reader sees all of the old files or all of the new ones, never a mixture.

    NAME -> ..data/NAME        what the pod opens
    ..data -> ..2026_11_24_…   swapped by one rename
    ..2026_11_24_…/NAME        the files; complete before anything points to them

Kubernetes' layout. A name that is no longer there goes after the swap, a new one comes after it, so no link ever points
to nothing. Dying anywhere leaves the old version or the new one, and what is left over goes with the next write. Not
flushed to the disk: after a power cut it is written anew from the objects.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from agent.killpoint import reach
from agent.volume import tree
from agent.volume.payload import Content, Payload

_DATA, _NEXT = "..data", "..data_tmp"


def write(directory: Path, payload: Payload, *, gid: int | None = None) -> bool:
    """Make `directory` show the payload; False if it already does. With `gid` the group may read whatever the modes say."""
    wanted = {path: Content(content.data, _mode(content.mode, gid)) for path, content in payload.items()}
    current = _current(directory)
    if current is not None and _found(directory / current, gid) == wanted:
        _remove_stale(directory, current, wanted)
        _link_names(directory, wanted)
        return False
    fresh = _write_fresh(directory, wanted, gid)
    (directory / _NEXT).unlink(missing_ok=True)
    (directory / _NEXT).symlink_to(fresh)
    reach(f"rename before {directory}/{_DATA}")
    os.replace(directory / _NEXT, directory / _DATA)
    reach(f"rename after {directory}/{_DATA}")
    _link_names(directory, wanted)
    _remove_stale(directory, fresh, wanted)
    return True


def is_written(directory: Path) -> bool:
    """Whether some version is there."""
    return _current(directory) is not None


def _mode(mode: int, gid: int | None) -> int:
    return mode if gid is None else mode | 0o440


def _current(directory: Path) -> str | None:
    try:
        return os.readlink(directory / _DATA)
    except OSError:
        return None


def _found(version: Path, gid: int | None) -> Mapping[str, Content]:
    found: dict[str, Content] = {}
    for path in version.rglob("*") if version.is_dir() else ():
        if path.is_file():
            status = path.stat()
            if gid is not None and status.st_gid != gid:
                return {}
            found[str(path.relative_to(version))] = Content(path.read_bytes(), stat.S_IMODE(status.st_mode))
    return found


def _write_fresh(directory: Path, wanted: Payload, gid: int | None) -> str:
    prefix = datetime.now(UTC).strftime("..%Y_%m_%d_%H_%M_%S.")
    fresh = Path(tempfile.mkdtemp(prefix=prefix, dir=directory))
    _open_up(fresh, gid)
    for path, content in wanted.items():
        file = fresh / path
        for parent in reversed([p for p in file.parents if p.is_relative_to(fresh) and p != fresh]):
            if not parent.exists():
                parent.mkdir()
                _open_up(parent, gid)
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as stream:
            stream.write(content.data)
            if gid is not None:
                os.fchown(fd, -1, gid)
            os.fchmod(fd, content.mode)
    return fresh.name


def _open_up(directory: Path, gid: int | None) -> None:
    if gid is not None:
        os.chown(directory, -1, gid)
    directory.chmod(0o755)


def _link_names(directory: Path, wanted: Payload) -> None:
    for name in {path.split("/")[0] for path in wanted}:
        link = directory / name
        if not link.is_symlink():
            link.symlink_to(f"{_DATA}/{name}")


def _remove_stale(directory: Path, current: str, wanted: Payload) -> None:
    names = {path.split("/")[0] for path in wanted}
    for entry in list(directory.iterdir()):
        if entry.name.startswith(".."):
            if entry.name not in (_DATA, current):
                tree.remove(entry)
        elif entry.name not in names:
            tree.remove(entry)
