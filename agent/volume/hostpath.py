"""hostPath: a path of the node, checked to be what the pod expects. Shown as it is: nothing is mounted or deleted.

The check follows symbolic links, as the pod's mount will: whoever may write a hostPath may name any path anyway.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from agent.errors import InvalidObject, NotFound
from agent.objects.volumes import HostPathType, HostPathVolume

_Test = Callable[[int], bool]
_KINDS: Mapping[HostPathType, tuple[str, _Test]] = {
    HostPathType.DIRECTORY: ("a directory", stat.S_ISDIR),
    HostPathType.DIRECTORY_OR_CREATE: ("a directory", stat.S_ISDIR),
    HostPathType.FILE: ("a file", stat.S_ISREG),
    HostPathType.FILE_OR_CREATE: ("a file", stat.S_ISREG),
    HostPathType.SOCKET: ("a socket", stat.S_ISSOCK),
    HostPathType.CHAR_DEVICE: ("a character device", stat.S_ISCHR),
    HostPathType.BLOCK_DEVICE: ("a block device", stat.S_ISBLK),
}
_MADE_DIRECTORY, _MADE_FILE = 0o755, 0o644


def ensure_(volume: HostPathVolume) -> Path:
    """The path, which is as the volume's type says; made first if the type says so. Raises NotFound, InvalidObject."""
    path = Path(volume.path)
    if not path.is_absolute() or ".." in path.parts:
        raise InvalidObject(f'hostPath "{volume.path}" must be absolute and without ".."')
    if volume.type is HostPathType.DIRECTORY_OR_CREATE and not path.exists():
        _make_directory(path)
    elif volume.type is HostPathType.FILE_OR_CREATE and not path.exists():
        _make_file(path)
    mode = _mode(path)
    if volume.type is not HostPathType.ANY:
        noun, fits = _KINDS[volume.type]
        if not fits(mode):
            raise InvalidObject(f"hostPath {path} is not {noun}, as type {volume.type} wants")
    return path


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"hostPath {path} does not exist") from None


def _make_directory(path: Path) -> None:
    for parent in reversed([path, *path.parents]):
        if not parent.exists():
            parent.mkdir(exist_ok=True)
            parent.chmod(_MADE_DIRECTORY)


def _make_file(path: Path) -> None:
    """Not its directory."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _MADE_FILE)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"hostPath {path} cannot be made: its directory does not exist") from None
    try:
        os.fchmod(fd, _MADE_FILE)
    finally:
        os.close(fd)
