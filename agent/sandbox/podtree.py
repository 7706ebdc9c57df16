"""The file tree that a program in a pod sees, built in a new mount namespace; the node's own tree is left behind.

    /            a tmpfs of this execution; /bin, /lib … as on the node (links into /usr)
    /usr /etc    the node's, read-only, and the pod's own hosts, hostname, resolv.conf      } binds, given
    volumes      at their mount paths, each with its own propagation; /dev/shm of the pod   }
    /proc /sys   of the pod's namespaces; what would act on the whole node is read-only or hidden
    /dev         null, zero, full, random, urandom, tty, its own pts; /dev/mqueue of the pod's IPC namespace
    /tmp /run /var   empty and writable

Sources are picked up as descriptors while the node's tree is still there, and put in place after pivot_root: then a
symbolic link in a volume can lead nowhere but into the pod. A mount point that is missing below a read-only bind
(ConfigMaps at /etc/nginx/conf.d …) is made by replacing its parent directory by a tmpfs that shows the same entries.
Stdlib and kernel/libc only, for the sake of start-up time.
"""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from agent.kernel import libc, subpath

_STAGE = "/run"
"""Any directory that always exists: what is mounted there is seen by this mount namespace only."""
_NO_SUID_DEV = libc.MS_NOSUID | libc.MS_NODEV
_KERNEL_VIEW = _NO_SUID_DEV | libc.MS_NOEXEC
LINKED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Links into /usr where it holds all programs; where they still are directories they are shown like /usr."""
_DIRECTORIES = ("dev", "etc", "home", "proc", "run", "sys", "usr", "var")
_WRITABLE_BY_ALL = ("/tmp", "/var/tmp")  # noqa: S108 - the pod's, not the node's
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICE_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2", "ptmx": "pts/ptmx"}
_PROC_READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_PROC_HIDDEN = ("acpi", "asound", "kcore", "keys", "latency_stats", "scsi", "sched_debug", "timer_list", "timer_stats")
_PROPAGATION = {"None": libc.MS_PRIVATE, "HostToContainer": libc.MS_SLAVE, "Bidirectional": 0}
"""By the names Kubernetes gives them; 0 leaves the copy in the source's peer group."""


class Bind(NamedTuple):
    """`source` on the node, or what is at `sub_path` in it, shown at `target` in the pod."""

    source: str
    target: str
    read_only: bool = False
    recursive_read_only: bool = False
    propagation: str = "None"
    sub_path: str = ""


class _Tree(NamedTuple):
    """A source that was picked up."""

    fd: int
    is_directory: bool
    bind: Bind


def build(binds: list[Bind], *, read_only_root: bool, unmask_proc: bool) -> None:
    """Leave the calling process in the tree; its /proc shows the process namespace it is in."""
    libc.unshare(libc.CLONE_NEWNS)
    links = {name: os.readlink(f"/{name}") for name in LINKED if os.path.islink(f"/{name}")}
    plain = [
        Bind(f"/{name}", f"/{name}", read_only=True, recursive_read_only=True)
        for name in LINKED
        if name not in links and os.path.isdir(f"/{name}")
    ]
    devices = [Bind(f"/dev/{name}", f"/dev/{name}") for name in _DEVICES]
    trees = [_pick_up(bind) for bind in [*plain, *devices, *sorted(binds, key=lambda bind: bind.target.count("/"))]]
    _enter_empty_root()
    _make_skeleton(links)
    for tree in trees:
        _put(tree)
    if not unmask_proc:
        _restrict_proc()
    if read_only_root:
        libc.mount_setattr("/", attributes=libc.MOUNT_ATTR_RDONLY)


def _pick_up(bind: Bind) -> _Tree:
    fd = _copy_beneath(bind) if bind.sub_path else libc.open_tree(bind.source, clone=True, recursive=True)
    if bind.read_only:
        libc.mount_setattr(fd, recursive=bind.recursive_read_only, attributes=libc.MOUNT_ATTR_RDONLY)
    libc.mount_setattr(fd, recursive=True, propagation=_PROPAGATION[bind.propagation])
    return _Tree(fd, stat.S_ISDIR(os.fstat(fd).st_mode), bind)


def _copy_beneath(bind: Bind) -> int:
    """The kernel resolves the path and stays in the volume, whatever the pod does to its links meanwhile."""
    root = os.open(bind.source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    fd = subpath.open_(root, bind.sub_path)
    try:
        return libc.open_tree(fd, clone=True, recursive=True)
    finally:
        os.close(fd)
        os.close(root)


def _enter_empty_root() -> None:
    libc.mount("", "/", "", libc.MS_REC | libc.MS_SLAVE)
    libc.mount("podwright", _STAGE, "tmpfs", _NO_SUID_DEV, "mode=0755,size=64m")
    os.chdir(_STAGE)
    libc.pivot_root(".", ".")
    libc.umount(".", libc.MNT_DETACH)
    os.chdir("/")


def _make_skeleton(links: dict[str, str]) -> None:
    for name, destination in links.items():
        os.symlink(destination, f"/{name}")
    for name in _DIRECTORIES:
        os.mkdir(f"/{name}")
    for directory in _WRITABLE_BY_ALL:
        os.mkdir(directory)
        os.chmod(directory, 0o1777)  # noqa: S103 - what /tmp is
    os.mkdir("/root", 0o700)
    os.symlink("/run", "/var/run")
    libc.mount("proc", "/proc", "proc", _KERNEL_VIEW)
    libc.mount("sysfs", "/sys", "sysfs", _KERNEL_VIEW | libc.MS_RDONLY)
    libc.mount("podwright", "/dev", "tmpfs", libc.MS_NOSUID | libc.MS_NOEXEC, "mode=0755,size=64k")
    for directory in ("pts", "shm", "mqueue"):
        os.mkdir(f"/dev/{directory}")
    libc.mount("devpts", "/dev/pts", "devpts", libc.MS_NOSUID | libc.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5")
    libc.mount("mqueue", "/dev/mqueue", "mqueue", _KERNEL_VIEW)
    for name, destination in _DEVICE_LINKS.items():
        os.symlink(destination, f"/dev/{name}")


def _put(tree: _Tree) -> None:
    target = os.path.realpath(tree.bind.target)
    try:
        _make_mount_point(target, tree.is_directory)
        libc.move_mount(tree.fd, target)
    finally:
        os.close(tree.fd)


def _make_mount_point(target: str, is_directory: bool) -> None:
    if os.path.exists(target):
        return
    parent = os.path.dirname(target)
    _make_mount_point(parent, is_directory=True)
    if os.statvfs(parent).f_flag & os.ST_RDONLY:
        _make_replaceable(parent)
    if is_directory:
        os.mkdir(target)
    else:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))


def _make_replaceable(directory: str) -> None:
    """A tmpfs over a read-only directory, with the same entries; nothing is written to what lies beneath."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    libc.mount("podwright", directory, "tmpfs", _NO_SUID_DEV, "mode=0755,size=4m")
    for entry in os.scandir(f"/proc/self/fd/{fd}"):
        target = os.path.join(directory, entry.name)
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), target)
        elif os.path.exists(entry.path):  # somebody may be editing the node's /etc
            _put(_pick_up(Bind(entry.path, target)))
    os.close(fd)


def _restrict_proc() -> None:
    """Some files of /proc act on the node, or tell of it, whoever reads them as user 0 in any namespace."""
    for name in _PROC_READ_ONLY:
        if os.path.exists(f"/proc/{name}"):
            _put(_pick_up(Bind(f"/proc/{name}", f"/proc/{name}", read_only=True, recursive_read_only=True)))
    for name in _PROC_HIDDEN:
        if os.path.isdir(f"/proc/{name}"):
            libc.mount("podwright", f"/proc/{name}", "tmpfs", _KERNEL_VIEW | libc.MS_RDONLY, "size=0,mode=0555")
        elif os.path.exists(f"/proc/{name}"):
            _put(_pick_up(Bind("/dev/null", f"/proc/{name}")))
