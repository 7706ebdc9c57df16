"""What the command line lets a bench know. `quick` is for tests: does it run at all; its numbers mean nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    pairs: int = 30
    modes: tuple[str, ...] = ("bridge", "routed")
    quick: bool = False

    def count(self, wanted: int, when_quick: int) -> int:
        return when_quick if self.quick else wanted
