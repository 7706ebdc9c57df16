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
from collections.abc import Collection

from loguru import logger

from agent import metrics
from agent.kernel.nft import Batch, Table
from agent.kernel.nft.watch import ForeignCommit, TableWatch
from agent.network.errand import Errand
from agent.network.tables import Tables

_SHOWN = 6


class TableGuard:
    """It listens from the moment it is made, and acts when started: after Tables.start()."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._lock = threading.Lock()
        self._touched: set[Table] = set()
        self._distrusted: set[Table] = set()
        self._watch = TableWatch(tables.names, own_port=tables.own_port, changed=self._hear, lost=self._hear_nothing)
        self._errand = Errand("repairing the firewall", self._repair)

    def start(self) -> None:
        self._errand.start()
        self._watch.start()

    def stop(self) -> None:
        self._watch.close()
        self._errand.stop()

    def _hear(self, commit: ForeignCommit) -> None:
        self._remember([c.table for c in commit.changes], [c.table for c in commit.changes if not c.is_of_element])
        self._errand.ring()
        logger.warning("firewall was changed by {} (pid {}): {}", commit.program, commit.pid, _summary([str(c) for c in commit.changes]))

    def _hear_nothing(self) -> None:
        self._remember(self._tables.names, self._tables.names)
        self._errand.ring()
        logger.warning("announcements of firewall changes were lost: replacing all of it")

    def _repair(self) -> None:
        with self._lock:
            touched, self._touched = self._touched, set()
            distrusted, self._distrusted = self._distrusted, set()
        started = time.perf_counter()
        try:
            committed = self._tables.repair(distrusted)
        except BaseException:
            self._remember(touched, distrusted)
            raise
        elapsed_ms = (time.perf_counter() - started) * 1e3
        for table in touched:
            metrics.FIREWALL_REPAIRS.inc(str(table))
        logger.info("firewall put right in {:.1f} ms: {}", elapsed_ms, _summary_of(committed))

    def _remember(self, touched: Collection[Table], distrusted: Collection[Table]) -> None:
        with self._lock:
            self._touched.update(touched)
            self._distrusted.update(distrusted)


def _summary_of(committed: Batch) -> str:
    return _summary([str(command) for command in committed.commands]) if committed else "nothing differed"


def _summary(lines: list[str]) -> str:
    rest = len(lines) - _SHOWN
    return "; ".join(lines[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
