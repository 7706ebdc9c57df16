"""Opens a path inside of a volume that a pod can write to while we resolve it. Made where it is missing.

openat2 with RESOLVE_BENEATH: links inside of the volume are followed (a ConfigMap's files are links), one that leads out
of it is refused by the kernel, and a directory that is moved away meanwhile is an EAGAIN, never an escape.
For sandbox/enter.py, a process of one thread: the umask is changed, and imports are few.
"""

from __future__ import annotations

import errno
import os
import stat

from agent.errors import Forbidden, KernelError, Unavailable
from agent.kernel import libc

_INSIDE = libc.RESOLVE_BENEATH | libc.RESOLVE_NO_MAGICLINKS
_ATTEMPTS = 100


def open_(root: int, path: str) -> int:
    """A descriptor (O_PATH) of `path` beneath the directory `root`; missing directories get the root's mode."""
    try:
        return _resolved(root, path)
    except FileNotFoundError:
        _make_directories(root, path)
        try:
            return _resolved(root, path)
        except FileNotFoundError:
            raise Forbidden(f"subPath {path} is a link to nothing") from None


def _resolved(root: int, path: str) -> int:
    for _ in range(_ATTEMPTS):
        try:
            return libc.openat2(root, path, os.O_PATH, resolve=_INSIDE)
        except KernelError as error:
            if error.errno in (errno.EXDEV, errno.ELOOP):
                raise Forbidden(f"subPath {path} leads out of the volume") from None
            if error.errno == errno.ENOENT:
                raise FileNotFoundError(path) from None
            if error.errno == errno.ENOTDIR:
                raise Forbidden(f"subPath {path} goes through something that is not a directory") from None
            if error.errno != errno.EAGAIN:
                raise
    raise Unavailable(f"subPath {path}: directories of the volume are being moved all the time")


def _make_directories(root: int, path: str) -> None:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    mode = stat.S_IMODE(os.fstat(root).st_mode)
    for depth, name in enumerate(parts):
        parent = _resolved(root, "/".join(parts[:depth]) or ".")
        mask = os.umask(0)
        try:
            os.mkdir(name, mode, dir_fd=parent)
        except FileExistsError:
            pass
        finally:
            os.umask(mask)
            os.close(parent)
