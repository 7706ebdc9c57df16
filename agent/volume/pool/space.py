"""How much of a pool can still be promised. Pure.

What is promised counts, not what happens to be free: a thin volume may write all it has at any time. A part is kept back,
so that the records, the copies of metadata and a last fsync of every volume find room.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_KEPT_BACK = 20
"""One byte in so many, at least _LEAST_KEPT_BACK."""
_LEAST_KEPT_BACK = 64 << 20


@dataclass(frozen=True, slots=True)
class Promise:
    """A volume or snapshot: what it may take in all, and what it takes now."""

    size_bytes: int
    allocated_bytes: int

    @property
    def outstanding_bytes(self) -> int:
        return max(self.size_bytes - self.allocated_bytes, 0)


@dataclass(frozen=True, slots=True)
class Space:
    total_bytes: int
    free_bytes: int
    outstanding_bytes: int
    overcommit: float = 1.0

    @property
    def kept_back_bytes(self) -> int:
        return max(self.total_bytes // _KEPT_BACK, _LEAST_KEPT_BACK)

    @property
    def available_bytes(self) -> int:
        """For a new volume of this size, thick or thin."""
        return max(self.free_bytes - self.kept_back_bytes - int(self.outstanding_bytes / self.overcommit), 0)


def space(total_bytes: int, free_bytes: int, promises: Iterable[Promise], overcommit: float) -> Space:
    return Space(total_bytes, free_bytes, sum(each.outstanding_bytes for each in promises), overcommit)
