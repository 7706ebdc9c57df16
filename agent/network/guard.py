"""Puts our tables right when another program changed or flushed them.

Needed where the kernel cannot give them a lasting owner (before 6.9): `nft flush ruleset`, and every tool that reloads
a whole firewall, takes them too. Elements that were changed are compared one by one; a table in which anything else
was touched is replaced in one transaction.
Until then pods are closed, because the marks that one table gives are asked for by another, unless all are gone at
once. Tables that only an owner can flush exist from Linux 5.12, but `nft -j list` before 1.1 fails on them altogether:
no way out for a node where others use it too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from loguru import logger

from agent import metrics
from agent.errand import Errand
from agent.kernel.nft.watch import ForeignChange, ForeignCommit, TableWatch
from agent.network.tables import Tables

_SHOWN = 6


class TableGuard:
    """It listens from the moment it is made, and acts when started: after Tables.start()."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._lock = threading.Lock()
        self._commits: list[ForeignCommit] = []
        self._watch = TableWatch(tables.names, own_port=tables.own_port, changed=self._hear, lost=self._hear_nothing)
        self._errand = Errand("repairing the firewall", self._repair)

    def start(self) -> None:
        self._errand.start()
        self._watch.start()

    def stop(self) -> None:
        self._watch.close()
        self._errand.stop()

    def _hear(self, commit: ForeignCommit) -> None:
        with self._lock:
            self._commits.append(commit)
        self._errand.ring()

    def _hear_nothing(self) -> None:
        changes = tuple(ForeignChange(table, "changes that were not announced", is_of_element=False) for table in self._tables.names)
        self._hear(ForeignCommit("somebody", 0, changes))

    def _repair(self) -> None:
        """Words come last: the window is open until then."""
        with self._lock:
            commits, self._commits = self._commits, []
        changes = [change for commit in commits for change in commit.changes]
        started = time.perf_counter()
        try:
            committed = self._tables.repair({change.table for change in changes if not change.is_of_element})
        except BaseException:
            with self._lock:
                self._commits[:0] = commits
            raise
        elapsed_ms = (time.perf_counter() - started) * 1e3
        for table in {change.table for change in changes}:
            metrics.FIREWALL_REPAIRS.inc(str(table))
        for commit in commits:
            logger.warning("firewall was changed by {} (pid {}): {}", commit.program, commit.pid, _summary(commit.changes))
        logger.info("firewall put right in {:.1f} ms: {}", elapsed_ms, _summary(committed.commands) or "nothing differed")


def _summary(things: Sequence[object]) -> str:
    rest = len(things) - _SHOWN
    return "; ".join(str(thing) for thing in things[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
