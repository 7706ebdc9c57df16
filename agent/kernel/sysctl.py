"""Reads and writes of /proc/sys/net, in whatever network namespace the calling thread is.

/proc/sys/net resolves by the reading thread's namespace, so no path into another process is needed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from agent.errors import KernelError
from agent.killpoint import reach


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


def write(setting: Sysctl) -> None:
    reach(f"sysctl before {setting}")
    try:
        fd = os.open(f"/proc/sys/{setting.name}", os.O_WRONLY | os.O_CLOEXEC)
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
