"""What the agent itself runs out of: file descriptors and room on the disk. Asked by STATUS, before an ADD fails of it."""

from __future__ import annotations

import os
import resource

_DESCRIPTORS_KEPT = 64
"""An ADD needs a handful; the rest is for the callers that wait."""
_BYTES_KEPT = 4 << 20


def problems(state_dir: str) -> tuple[str, ...]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    disk = os.statvfs(state_dir)
    found = []
    if soft - used < _DESCRIPTORS_KEPT:
        found.append(f"the agent holds {used} of {soft} file descriptors")
    if disk.f_bavail * disk.f_frsize < _BYTES_KEPT:
        found.append(f"the disk under {state_dir} is full")
    return tuple(found)
