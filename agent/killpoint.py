"""Places where a test may end the agent as `kill -9` would.

Every kernel request, every directory by which something of ours is recognised and every store commit passes one,
before and after. Unarmed (always, outside tests) a point costs one global read. The environment arms them:

    PODWRIGHT_KILL_AT=7        end the process at the seventh point it passes
    PODWRIGHT_KILL_LOG=FILE    append number and name of each point, so that a harness can count them first
    PODWRIGHT_KILL_GATE=FILE   pass over every point as long as FILE is not there: the start-up does not count
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Mapping


class _Trap:
    """A plain class: `exec` imports this module too, and dataclasses would double its start-up time."""

    def __init__(self, kill_at: int, log: str, gate: str) -> None:
        self._kill_at, self._log, self._gate = kill_at, log, gate
        self._numbers = itertools.count(1)

    def step_on(self, name: str) -> None:
        if self._gate and not os.path.exists(self._gate):
            return
        number = next(self._numbers)
        if self._log:
            with open(self._log, "a", encoding="utf-8") as log:
                log.write(f"{number} {name}\n")
        if number == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def _armed(environment: Mapping[str, str]) -> _Trap | None:
    kill_at, log = int(environment.get("PODWRIGHT_KILL_AT", "0")), environment.get("PODWRIGHT_KILL_LOG", "")
    return _Trap(kill_at, log, environment.get("PODWRIGHT_KILL_GATE", "")) if kill_at or log else None


_trap = _armed(os.environ)


def reach(name: str) -> None:
    """Pass the point `name` ("nft before add table", "store.commit after")."""
    if _trap is not None:
        _trap.step_on(name)
