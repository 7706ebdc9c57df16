"""DELs that found no agent: the CNI binary wrote them down, the agent carries them out.

The other half of the protocol is cni/absent.py. At start: listen, `drain`, and only then accept; whoever could
not connect before has its entry here, whoever connects later waits in the backlog. While running, an entry can
still appear when the agent hung for a moment: call `drain_waiting` now and then, and ahead of every ADD, whose
key may be the one that an entry releases.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from loguru import logger

from agent.api.cni import Reply
from agent.errors import CallerError

Handle = Callable[[bytes], Reply]


def drain(spool: Path, handle: Handle) -> int:
    """Carry out every entry, oldest first, and return how many are done. One that fails for now stays for the next time."""
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _exclusive(spool):
        done = sum(_carry_out(entry, handle) for entry in sorted(spool.glob("*.del")))
        for draft in spool.glob("*.tmp"):  # its writer is dead: the living hold the lock
            draft.unlink()
    return done


def drain_waiting(spool: Path, handle: Handle) -> int:
    """As drain, but without a lock when nothing waits."""
    return drain(spool, handle) if next(spool.glob("*.del"), None) else 0


def remove(spool: Path) -> None:
    """When every pod of the node was taken down there is nothing left to carry out. Absence is success."""
    if not spool.is_dir():
        return
    with _exclusive(spool):
        for entry in spool.iterdir():
            entry.unlink()
    spool.rmdir()


def _carry_out(entry: Path, handle: Handle) -> bool:
    reply = handle(entry.read_bytes())
    if reply.error is not None and (reply.error.is_retryable or not isinstance(reply.error, CallerError)):
        logger.warning("spooled DEL {} stays for now: {}", entry.name, reply.error.message)
        return False
    if reply.error is not None:
        logger.error("spooled DEL {} dropped, it can never succeed: {}", entry.name, reply.error.message)
    entry.unlink()
    return True


@contextmanager
def _exclusive(spool: Path) -> Iterator[None]:
    lock = os.open(spool / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
