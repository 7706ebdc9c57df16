"""Places where a test may end the agent as `kill -9` would.

Every kernel request and every store commit passes one, before and after. Unarmed (always, outside tests)
a point costs one global read. `PODWRIGHT_KILL_AT=7` ends the process at the seventh point it reaches;
`PODWRIGHT_KILL_LOG=FILE` appends the name of each point, so that a harness can count them first.
"""

from __future__ import annotations

import itertools
import os
import signal

_KILL_AT = int(os.environ.get("PODWRIGHT_KILL_AT", "0"))
_LOG = os.environ.get("PODWRIGHT_KILL_LOG", "")
_ARMED = bool(_KILL_AT or _LOG)
_count = itertools.count(1)


def reach(name: str) -> None:
    """Pass the point `name` ("nft.commit before", "store.commit after")."""
    if not _ARMED:
        return
    number = next(_count)
    if _LOG:
        with open(_LOG, "a", encoding="utf-8") as log:
            log.write(f"{number} {name}\n")
    if number == _KILL_AT:
        os.kill(os.getpid(), signal.SIGKILL)
