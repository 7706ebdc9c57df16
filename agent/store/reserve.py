"""Room kept on the store's file system for what gives room back: a deletion must be possible on a full disk.

SQLite appends to its log before it reuses anything, so even a deletion needs room to be written down. The log is
folded into the database at 1000 pages (4 MiB) and then begins anew, so this is enough for any number of deletions. It
is given up in small steps: whoever filled the disk may take what is freed before we do.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

SIZE_BYTES = 8 << 20
STEP_BYTES = 256 << 10


class Reserve:
    """A file of allocated blocks beside the database. Not being able to keep it whole is no error: it is tried again."""

    def __init__(self, file: Path, size_bytes: int = SIZE_BYTES) -> None:
        self._file, self._size_bytes = file, size_bytes
        self._is_whole = False

    def ensure(self) -> None:
        """Only where as much again stays free: what has just been given up is not to be taken back at once."""
        if self._is_whole:
            return
        free = os.statvfs(self._file.parent)
        if self._held_bytes() >= self._size_bytes or free.f_bavail * free.f_frsize >= 2 * self._size_bytes:
            self._is_whole = self._hold(self._size_bytes)

    def ensure_what_fits(self) -> None:
        """For a stop: what the log gave back is kept for the next start."""
        for steps in (self._size_bytes // STEP_BYTES, 4, 1):
            if self._held_bytes() >= steps * STEP_BYTES or self._hold(steps * STEP_BYTES):
                return

    def release_step(self) -> bool:
        """True if there was something to give up."""
        held = self._held_bytes()
        if held:
            self._is_whole = False
            os.truncate(self._file, max(held - STEP_BYTES, 0))
        return held > 0

    def _held_bytes(self) -> int:
        try:
            return self._file.stat().st_size
        except FileNotFoundError:
            return 0

    def _hold(self, size_bytes: int) -> bool:
        before = self._held_bytes()
        fd = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, size_bytes)
        except OSError:
            with suppress(OSError):
                os.ftruncate(fd, before)
            return False
        finally:
            os.close(fd)
        return True
