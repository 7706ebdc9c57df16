"""Namespaces of pods (net, uts, ipc), held by bind mounts so that they outlive the agent.

One directory per pod with one file per kind; on each file the namespace is mounted. The directory is made under a
hidden name and renamed when complete (mounts move along), so its presence alone says that nothing is missing; what
a crash leaves has the hidden name, and the next `create` of that pod or `remove_half_made` takes it away.

A thread that unshares sets itself back, or the process ends (`_return_to`): none may serve from inside a pod. The
main thread never does, because /proc/self shows its namespaces to all others. The root is a tmpfs, because creating
mount points on a disk would cost more than the namespaces.
It is private: mount namespaces that exist keep seeing nothing of it, and those cloned later lose their copies
when we unlink the file (the kernel detaches every mount on it), so removal is immediate whoever else runs.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from agent.errors import InvalidObject, KernelError, NotFound
from agent.kernel import libc, mount
from agent.killpoint import reach

_NS_GET_NSTYPE = 0xB703
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_IFF_UP = 1
_HALF_MADE = ".half-"


class NsIdentity(NamedTuple):
    """The same for every path to one namespace, as long as the namespace lives (the inode may be reused afterwards)."""

    device: int
    inode: int


def ensure_root(root: Path) -> None:
    """The directory that holds all pods' namespace directories."""
    mount.ensure_tmpfs(root, data="mode=0711,size=16m")


def create(directory: Path, *, kinds: Sequence[str] = ("net", "uts", "ipc"), hostname: str = "") -> bool:
    """Namespaces at `directory`/KIND, the network one with lo up. What exists already, complete, is kept; True if not."""
    if _is_complete(directory, kinds):
        return False
    half_made = _half_made_name(directory)
    remove(half_made)
    remove(directory)
    half_made.mkdir(mode=0o711, parents=True)
    if threading.current_thread() is threading.main_thread():
        _on_another_thread(lambda: _unshare_and_pin(half_made, kinds, hostname))
    else:
        _unshare_and_pin(half_made, kinds, hostname)
    reach(f"rename before {half_made} {directory}")
    half_made.rename(directory)
    reach(f"rename after {half_made} {directory}")
    return True


def remove(directory: Path) -> None:
    """Unpin the namespaces and remove their directory. A process inside keeps them alive for itself. Absent is fine."""
    try:
        entries = list(directory.iterdir())
    except FileNotFoundError:
        return
    for entry in entries:
        mount.remove_(entry)
        entry.unlink(missing_ok=True)
        reach(f"unlink after {entry}")
    try:
        directory.rmdir()
    except FileNotFoundError:
        pass


def list_(root: Path) -> tuple[str, ...]:
    """Names of the complete directories under `root`."""
    try:
        names = os.listdir(root)
    except FileNotFoundError:
        return ()
    return tuple(sorted(name for name in names if not name.startswith(".")))


def remove_half_made(root: Path) -> None:
    """For the start of the agent, before anything is created: what an earlier one could not finish."""
    for directory in root.glob(_HALF_MADE + "*"):
        remove(directory)


def identity(path: Path | str) -> NsIdentity:
    """Of the network namespace at `path`, which is checked to be one."""
    fd = open_network(path)
    try:
        return _identity_of(fd)
    finally:
        os.close(fd)


def is_own(path: Path | str) -> bool:
    """Is it the namespace the agent itself lives in (the node's)?"""
    own = os.stat("/proc/self/ns/net")
    return identity(path) == NsIdentity(own.st_dev, own.st_ino)


def open_network(path: Path | str) -> int:
    """A descriptor of the network namespace at `path`; anything else there is the caller's mistake."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound(f"network namespace {path} does not exist") from None
    except OSError as error:
        raise KernelError(error.errno or errno.EIO, f"nsenter --net={path}") from None
    if _is_network(fd):
        return fd
    os.close(fd)
    raise InvalidObject(f"{path} is not a network namespace", hint="pass a path such as /run/netns/NAME or /proc/PID/ns/net")


@contextmanager
def entered(fd: int) -> Iterator[None]:
    """The calling thread inside the network namespace `fd`, then back where it was.

    A thread that cannot return would do the node's work in a pod's namespace: the process ends instead.
    """
    with _coming_back(("net",)):
        libc.setns(fd, libc.CLONE_NEWNET)
        yield


@contextmanager
def inside(directory: Path, kinds: Sequence[str]) -> Iterator[None]:
    """The calling thread in the namespaces of these kinds that `directory` holds, then back where it was."""
    with _coming_back(kinds):
        for kind in kinds:
            fd = os.open(directory / kind, os.O_RDONLY | os.O_CLOEXEC)
            try:
                libc.setns(fd, libc.NAMESPACE_KINDS[kind])
            finally:
                os.close(fd)
        yield


@contextmanager
def _coming_back(kinds: Sequence[str]) -> Iterator[None]:
    """Whatever happens inside, the thread is in its own namespaces of these kinds afterwards."""
    with ExitStack() as stack:
        for kind in kinds:
            home = os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, home)
            stack.callback(_return_to, home, kind)
        yield


def _return_to(home: int, kind: str) -> None:
    try:
        libc.setns(home, libc.NAMESPACE_KINDS[kind])
    except KernelError as error:
        sys.stderr.write(f"podwright: a thread cannot leave a pod's {kind} namespace, giving up: {error}\n")
        sys.stderr.flush()
        os.abort()


def _half_made_name(directory: Path) -> Path:
    return directory.with_name(_HALF_MADE + directory.name)


def _is_complete(directory: Path, kinds: Sequence[str]) -> bool:
    nsfs = os.stat("/proc/self/ns/net").st_dev
    try:
        return all(os.stat(directory / kind).st_dev == nsfs for kind in kinds)
    except FileNotFoundError:
        return False


def _on_another_thread(action: Callable[[], None]) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread
            failures.append(error)

    thread = threading.Thread(target=run, name="namespace-maker")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def _unshare_and_pin(directory: Path, kinds: Sequence[str], hostname: str) -> None:
    flags = 0
    for kind in kinds:
        flags |= libc.NAMESPACE_KINDS[kind]
    with _coming_back(kinds):
        libc.unshare(flags)
        if hostname and "uts" in kinds:
            libc.sethostname(hostname)
        if "net" in kinds:
            _bring_loopback_up()
        for kind in kinds:
            (directory / kind).touch(mode=0o444)
            libc.mount(f"/proc/thread-self/ns/{kind}", str(directory / kind), "", libc.MS_BIND)


def _bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        (flags,) = struct.unpack_from("H", fcntl.ioctl(control, _SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def _identity_of(fd: int) -> NsIdentity:
    status = os.fstat(fd)
    return NsIdentity(status.st_dev, status.st_ino)


def _is_network(fd: int) -> bool:
    """Only nsfs has its device number, and only there does the ioctl mean what we ask."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_dev != os.stat("/proc/self/ns/net").st_dev:
        return False
    return fcntl.ioctl(fd, _NS_GET_NSTYPE) == libc.CLONE_NEWNET
