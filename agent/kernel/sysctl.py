"""Reads and writes of /proc/sys/net, in whatever network namespace the calling thread is.

/proc/sys/net resolves by the reading thread's namespace, so no path into another process is needed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.errors import KernelError
from agent.kernel import libc
from agent.killpoint import reach

_VISITS = 32


@dataclass(frozen=True, slots=True)
class Sysctl:
    """`name` in slashes, as a device name may hold dots: net/ipv6/conf/eth0/accept_ra."""

    name: str
    value: str
    is_optional: bool = False
    """A kernel without it (ipv6.disable=1) needs no setting."""

    def __str__(self) -> str:
        return f"sysctl -w {self.name}={self.value}"


def read(name: str) -> str | None:
    """None if the kernel has no such setting."""
    try:
        return Path("/proc/sys", name).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None


def ensure(setting: Sysctl) -> bool:
    """Write if it differs; True if it was written."""
    if read(setting.name) == setting.value:
        return False
    write(setting)
    return True


def write(setting: Sysctl, proc_fd: int | None = None) -> None:
    """`proc_fd`: the root of the proc file system to use."""
    reach(f"sysctl before {setting}")
    place = f"sys/{setting.name}" if proc_fd is not None else f"/proc/sys/{setting.name}"
    try:
        fd = os.open(place, os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc_fd)
        try:
            os.write(fd, setting.value.encode())
        finally:
            os.close(fd)
    except FileNotFoundError as error:
        if not setting.is_optional:
            raise KernelError(error.errno or 0, str(setting)) from None
    except OSError as error:
        raise KernelError(error.errno or 0, str(setting)) from None
    reach(f"sysctl after {setting}")


class PodSettings:
    """Writes settings in many network namespaces, from any thread.

    A proc file system caches `net/ipv6` of each namespace that was looked at under one hash, and a new one is found
    after a walk past all others: 0.25 ms a pod at 800 pods (measured). So every 32 pods get a proc of their own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._proc = _Proc()

    def write(self, settings: Sequence[Sysctl]) -> None:
        """For the namespace that the calling thread is in."""
        with self._lock:
            if self._proc.visits >= _VISITS:
                self._proc = _Proc()
            proc = self._proc
            proc.visits += 1
        for setting in settings:
            write(setting, proc.fd)


class _Proc:
    """Closed when the last thread that uses it has let go."""

    def __init__(self) -> None:
        self.visits = 0
        try:
            self.fd = libc.new_filesystem("proc")
        except KernelError:  # forbidden, as in some containers: the one that is there does, too
            self.fd = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def __del__(self) -> None:
        os.close(self.fd)
