"""Keeps a test that did not ask for the machine away from it.

Two fences. The interpreter's audit events refuse kernel sockets, child processes and writes to the system's
directories, however the code under test came by the function. And the thread drops its effective capabilities,
so that a raw system call (mount, setns, sethostname) is refused by the kernel even to root; NOROOT keeps a
child from regaining them.

`Touched` is no Exception: code under test that catches everything must not swallow it.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SYSTEM = ("/proc/", "/sys/", "/run/", "/etc/", "/var/", "/usr/", "/opt/", "/boot/")
CHILDREN = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.spawn"}
CHANGES = {
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "os.link",
    "os.truncate",
    "os.chmod",
    "os.chown",
    "shutil.rmtree",
}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
KERNEL_FAMILIES = {socket.AF_NETLINK, socket.AF_PACKET}
_CAPABILITY_VERSION_3 = 0x20080522
_PR_SET_SECUREBITS, _NOROOT = 28, 1

_active = False
_children_allowed = False
_libc = ctypes.CDLL(None, use_errno=True)


class Touched(BaseException):
    """A test that must not touch the machine tried to."""


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Sets(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


@contextmanager
def untouched(*, children: bool) -> Iterator[None]:
    """Refuse the machine to this thread while the block runs. `children` lets it start processes (a linter, the CNI binary)."""
    global _active, _children_allowed  # noqa: PLW0603 -- an audit hook cannot be removed, only told to look away
    sets = _capabilities()
    _libc.prctl(_PR_SET_SECUREBITS, _NOROOT, 0, 0, 0)  # fails without privilege, and is then not needed
    _set_effective(sets, [0, 0])
    _active, _children_allowed = True, children
    try:
        yield
    finally:
        _active = False
        _set_effective(sets, [half.permitted for half in sets])
        _libc.prctl(_PR_SET_SECUREBITS, 0, 0, 0, 0)


def _capabilities() -> ctypes.Array[_Sets]:
    sets = (_Sets * 2)()
    if _libc.capget(ctypes.byref(_Header(_CAPABILITY_VERSION_3, 0)), sets) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    return sets


def _set_effective(sets: ctypes.Array[_Sets], effective: list[int]) -> None:
    for half, value in zip(sets, effective, strict=True):
        half.effective = value
    if _libc.capset(ctypes.byref(_Header(_CAPABILITY_VERSION_3, 0)), sets) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _active:
        return
    if event in CHILDREN and not _children_allowed:
        raise Touched(f"{event} {arguments[0] if arguments else ''}: mark the test `spawns` if a child process is its subject")
    if event == "socket.__new__" and arguments[1] in KERNEL_FAMILIES:
        raise Touched(f"opened a kernel socket (family {arguments[1]}): mark the test `kernel`")
    if event in CHANGES or (event == "open" and (arguments[2] or 0) & WRITES):
        _refuse_system_path(event, arguments[0])


def _refuse_system_path(event: str, path: object) -> None:
    if isinstance(path, str | bytes | os.PathLike) and os.path.realpath(os.fsdecode(path)).startswith(SYSTEM):
        raise Touched(f"{event} {os.fsdecode(path)}: a test may write only below tmp_path")


sys.addaudithook(_audit)
