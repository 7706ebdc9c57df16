"""The C library's doors that Python 3.11 does not have: namespaces, mounts, capabilities. The only ctypes.

Each function is one system call. A refusal raises KernelError with the line a person would have typed, so
that it can be tried by hand. `setns` and `unshare` change the calling thread only: callers decide which thread
that may be (kernel/netns.py). Calls newer than the oldest C library in use go by number; the numbers from 424
on are the same on every architecture.
Imported by sandbox/enter.py, whose start-up time users feel: keep the imports few.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any, Final

from agent.errors import KernelError
from agent.killpoint import reach

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWCGROUP: Final = 0x02000000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000
NAMESPACE_KINDS: Final = {
    "mnt": CLONE_NEWNS,
    "cgroup": CLONE_NEWCGROUP,
    "uts": CLONE_NEWUTS,
    "ipc": CLONE_NEWIPC,
    "pid": CLONE_NEWPID,
    "net": CLONE_NEWNET,
}
"""The kernel's flag by the name the kind has under /proc/PID/ns."""
_LONG_OPTIONS: Final = {"mnt": "mount"}

MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_SYNCHRONOUS: Final = 16
MS_REMOUNT: Final = 32
MS_NOATIME: Final = 1024
MS_NODIRATIME: Final = 2048
MS_BIND: Final = 4096
MS_MOVE: Final = 8192
MS_REC: Final = 16384
MS_UNBINDABLE: Final = 1 << 17
MS_PRIVATE: Final = 1 << 18
MS_SLAVE: Final = 1 << 19
MS_SHARED: Final = 1 << 20
MS_RELATIME: Final = 1 << 21
_MOUNT_WORDS: Final = {
    MS_RDONLY: "ro",
    MS_NOSUID: "nosuid",
    MS_NODEV: "nodev",
    MS_NOEXEC: "noexec",
    MS_REMOUNT: "remount",
    MS_BIND: "bind",
    MS_MOVE: "move",
    MS_REC: "rec",
    MS_UNBINDABLE: "unbindable",
    MS_PRIVATE: "private",
    MS_SLAVE: "slave",
    MS_SHARED: "shared",
}

MNT_DETACH: Final = 2
UMOUNT_NOFOLLOW: Final = 8

AT_FDCWD: Final = -100
AT_EMPTY_PATH: Final = 0x1000
AT_RECURSIVE: Final = 0x8000
OPEN_TREE_CLONE: Final = 1
OPEN_TREE_CLOEXEC: Final = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH: Final = 0x4
RESOLVE_NO_XDEV: Final = 0x01
RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_BENEATH: Final = 0x08
MOUNT_ATTR_RDONLY: Final = 0x1
MOUNT_ATTR_NOSUID: Final = 0x2
MOUNT_ATTR_NODEV: Final = 0x4
MOUNT_ATTR_NOEXEC: Final = 0x8

CAPABILITIES: Final = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE"),
    *("NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT"),
    *("SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE"),
    *("AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ"),
    *("PERFMON", "BPF", "CHECKPOINT_RESTORE"),
)
"""By number: the index is the kernel's bit."""

FALLOC_FL_KEEP_SIZE: Final = 1
FALLOC_FL_PUNCH_HOLE: Final = 2

PR_SET_PDEATHSIG: Final = 1
PR_CAPBSET_DROP: Final = 24
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

_SYS_OPEN_TREE: Final = 428
_SYS_MOVE_MOUNT: Final = 429
_SYS_FSOPEN: Final = 430
_SYS_FSCONFIG: Final = 431
_SYS_FSMOUNT: Final = 432
_SYS_OPENAT2: Final = 437
_SYS_MOUNT_SETATTR: Final = 442
_CLOSE_ON_EXEC: Final = 1
"""FSOPEN_CLOEXEC and FSMOUNT_CLOEXEC."""
_FSCONFIG_CREATE: Final = 6
_CAPABILITY_VERSION_3: Final = 0x20080522
_TIMEX_BYTES: Final = 256
"""More than struct timex has on any machine."""
_TIME_ERROR: Final = 5
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.unshare.argtypes = (ctypes.c_int,)
_libc.setns.argtypes = (ctypes.c_int, ctypes.c_int)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)
_libc.pivot_root.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
_libc.sethostname.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
_libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
_libc.capset.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_libc.syncfs.argtypes = (ctypes.c_int,)
_libc.syscall.restype = ctypes.c_long


class _OpenHow(ctypes.Structure):
    """struct open_how."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class _MountAttributes(ctypes.Structure):
    """struct mount_attr."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def unshare(flags: int) -> None:
    """Give the calling thread (CLONE_NEWPID: its future children) new namespaces."""
    _call(_libc.unshare, f"unshare {_options(flags)}", flags)


def setns(fd: int, kind: int) -> None:
    """Move the calling thread into the namespace that `fd` refers to; `kind` (CLONE_NEW…) is checked by the kernel."""
    _call(_libc.setns, f"nsenter {_options(kind)}=/proc/self/fd/{fd}", fd, kind)


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2). An empty `source` is written "none" in mountinfo; an empty `fstype` is right for bind and propagation changes."""
    request = _mount_line(source, target, fstype, flags, data)
    encoded = data.encode() if data else None
    _call(_libc.mount, request, os.fsencode(source or "none"), os.fsencode(target), fstype.encode() or None, flags, encoded)


def umount(target: str, flags: int = 0) -> None:
    lazy = "-l " if flags & MNT_DETACH else ""
    _call(_libc.umount2, f"umount {lazy}{_quoted(target)}", os.fsencode(target), flags)


def pivot_root(new_root: str, put_old: str) -> None:
    _call(_libc.pivot_root, f"pivot_root {_quoted(new_root)} {_quoted(put_old)}", os.fsencode(new_root), os.fsencode(put_old))


def sethostname(name: str) -> None:
    encoded = name.encode()
    _call(_libc.sethostname, f"hostname {_quoted(name)}", encoded, len(encoded))


def prctl(option: int, argument: int = 0, second: int = 0) -> None:
    _call(_libc.prctl, f"prctl {option} {argument} {second}", option, argument, second, 0, 0)


def set_capabilities(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) for the calling thread; the arguments are bit masks."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    halves = [mask >> shift & 0xFFFFFFFF for shift in (0, 32) for mask in (effective, permitted, inheritable)]
    request = f"capset effective={effective:#x} permitted={permitted:#x} inheritable={inheritable:#x}"
    _call(_libc.capset, request, ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)(*halves)))


def clock_is_synchronised() -> bool:
    """Whether something (NTP) disciplines the kernel's clock, in the kernel's own opinion."""
    asked = ctypes.create_string_buffer(_TIMEX_BYTES)  # zeroes: change nothing
    return _call(_libc.adjtimex, "adjtimex --print", asked) != _TIME_ERROR


def openat2(directory_fd: int, path: str, flags: int, *, resolve: int) -> int:
    """Open `path` from `directory_fd` within the limits of `resolve` (RESOLVE_…). EAGAIN means: something was moved meanwhile."""
    how = _OpenHow(flags | os.O_CLOEXEC, 0, resolve)
    place = (ctypes.c_int(directory_fd), ctypes.c_char_p(os.fsencode(path)))
    tail = (ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how)))
    return _call(_libc.syscall, f"openat2 {_quoted(path)} resolve={resolve:#x}", ctypes.c_long(_SYS_OPENAT2), *place, *tail)


def open_tree(place: str | int, *, clone: bool, recursive: bool = False) -> int:
    """A descriptor for the mount at a path or of a descriptor; with `clone` for a detached copy that nobody can reach by path."""
    fd, path = (place, "") if isinstance(place, int) else (AT_FDCWD, place)
    flags = OPEN_TREE_CLOEXEC | (OPEN_TREE_CLONE if clone else 0) | (AT_RECURSIVE if recursive else 0) | (0 if path else AT_EMPTY_PATH)
    arguments = (ctypes.c_int(fd), ctypes.c_char_p(os.fsencode(path)), ctypes.c_uint(flags))
    shown = path or f"/proc/self/fd/{fd}"
    return _call(_libc.syscall, f"open_tree {_quoted(shown)} {flags:#x}", ctypes.c_long(_SYS_OPEN_TREE), *arguments)


def move_mount(tree_fd: int, target: str) -> None:
    """Put the mount that `open_tree` gave at `target`."""
    source = (ctypes.c_int(tree_fd), ctypes.c_char_p(b""))
    place = (ctypes.c_int(AT_FDCWD), ctypes.c_char_p(os.fsencode(target)), ctypes.c_uint(MOVE_MOUNT_F_EMPTY_PATH))
    _call(_libc.syscall, f"move_mount /proc/self/fd/{tree_fd} {_quoted(target)}", ctypes.c_long(_SYS_MOVE_MOUNT), *source, *place)


def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    _call(_libc.fallocate, f"fallocate --mode {mode:#x} --offset {offset} --length {length} /proc/self/fd/{fd}", fd, mode, offset, length)


def syncfs(fd: int) -> None:
    """Everything of the file system that `fd` is on is durable afterwards."""
    _call(_libc.syncfs, f"sync -f /proc/self/fd/{fd}", fd)


def new_filesystem(fstype: str) -> int:
    """A file system of its own that is mounted nowhere: a descriptor of its root. It goes with the last descriptor."""
    name = ctypes.c_char_p(fstype.encode())
    context = _call(_libc.syscall, f"fsopen {fstype}", ctypes.c_long(_SYS_FSOPEN), name, ctypes.c_uint(_CLOSE_ON_EXEC))
    try:
        nothing = (ctypes.c_char_p(None), ctypes.c_char_p(None), ctypes.c_int(0))
        create = (ctypes.c_int(context), ctypes.c_uint(_FSCONFIG_CREATE), *nothing)
        _call(_libc.syscall, f"fsconfig {fstype} create", ctypes.c_long(_SYS_FSCONFIG), *create)
        place = (ctypes.c_int(context), ctypes.c_uint(_CLOSE_ON_EXEC), ctypes.c_uint(0))
        return _call(_libc.syscall, f"fsmount {fstype}", ctypes.c_long(_SYS_FSMOUNT), *place)
    finally:
        os.close(context)


def mount_setattr(place: str | int, *, recursive: bool = False, attributes: int = 0, clear: int = 0, propagation: int = 0) -> None:
    """Change attributes (MOUNT_ATTR_…) and propagation (MS_…) of the mount at a path or descriptor, or of all below it too."""
    fd, path = (place, "") if isinstance(place, int) else (AT_FDCWD, place)
    target = (ctypes.c_int(fd), ctypes.c_char_p(os.fsencode(path)))
    flags = (0 if path else AT_EMPTY_PATH) | (AT_RECURSIVE if recursive else 0)
    value = _MountAttributes(attributes, clear, propagation, 0)
    tail = (ctypes.c_uint(flags), ctypes.byref(value), ctypes.c_size_t(ctypes.sizeof(value)))
    shown = path or f"/proc/self/fd/{fd}"
    request = f"mount_setattr {_quoted(shown)} set={attributes:#x} clear={clear:#x} propagation={propagation:#x}"
    _call(_libc.syscall, request, ctypes.c_long(_SYS_MOUNT_SETATTR), *target, *tail)


def _call(function: Any, request: str, *arguments: Any) -> int:
    reach(f"libc before {request}")
    result: int = function(*arguments)
    if result < 0:
        raise KernelError(ctypes.get_errno(), request)
    reach(f"libc after {request}")
    return result


def _options(flags: int) -> str:
    return " ".join(f"--{_LONG_OPTIONS.get(kind, kind)}" for kind, bit in NAMESPACE_KINDS.items() if flags & bit)


def _mount_line(source: str, target: str, fstype: str, flags: int, data: str) -> str:
    words = [word for bit, word in _MOUNT_WORDS.items() if flags & bit]
    options = ",".join([*words, data] if data else words)
    line = ["mount", *(["-t", fstype] if fstype else []), *(["-o", _quoted(options)] if options else [])]
    return " ".join([*line, _quoted(source or "none"), _quoted(target)])


def _quoted(text: str) -> str:
    """shlex.quote without shlex, whose imports would double the start-up time of `exec`."""
    return text if text and _PLAIN.issuperset(text) else "'" + text.replace("'", "'\"'\"'") + "'"
