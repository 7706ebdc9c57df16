"""The file: opened by one agent at a time, read once, then only written. Durable when `commit` returns.

WAL with synchronous=FULL is one fsync per commit. SQLite gives -wal and -shm the mode of the database file, so
creating that with 0600 covers all three. The guard against a second agent is a flock on a file beside it, which
the kernel drops with the process, however it ends. On a full disk a reserve is given up for what makes room.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.errors import AlreadyExists, InternalError, OutOfSpace, PodwrightError, TemporaryError
from agent.killpoint import reach
from agent.objects.meta import Key
from agent.store.migrations import migrate
from agent.store.reserve import Reserve

_PASSING = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM})

_WAY_OUT = {
    sqlite3.SQLITE_FULL: "make room on its file system: delete files there, or objects (podwright delete still works)",
    sqlite3.SQLITE_IOERR: "look for errors of the disk in the kernel log",
    sqlite3.SQLITE_CORRUPT: "restore it from a backup, or move it away to start empty",
    sqlite3.SQLITE_NOTADB: "restore it from a backup, or move it away to start empty",
}


@dataclass(frozen=True, slots=True)
class Row:
    """An object as the file holds it; `body` None: it is to be removed."""

    key: Key
    uid: str = ""
    resource_version: int = 0
    body: bytes | None = None


class Database:
    """`path` None: in memory, for tests."""

    def __init__(self, path: Path | None) -> None:
        self.name = str(path) if path else ":memory:"
        self._lock_fd = _guard(path) if path else -1
        self._reserve = Reserve(path.with_name(path.name + ".reserve")) if path else None
        try:
            self._connection = self._open(path)
        except sqlite3.Error as error:
            self._unlock()
            raise self._translated("open", error) from error
        except BaseException:
            self._unlock()
            raise

    def _open(self, path: Path | None) -> sqlite3.Connection:
        """The log and its index are made anew at each start, which a full disk has no room for."""
        while True:
            try:
                connection = _connect(path, self.name)
            except sqlite3.Error as error:
                if _code(error) not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR) or not (self._reserve and self._reserve.release_step()):
                    raise
            else:
                break
        if self._reserve is not None:
            self._reserve.ensure()
        return connection

    def rows(self) -> Iterator[Row]:
        """One after the other: all at once would be as large as the objects they become."""
        query = "SELECT kind, namespace, name, uid, resource_version, body FROM object ORDER BY kind, namespace, name"
        try:
            for kind, namespace, name, uid, version, body in self._connection.execute(query):
                yield Row(Key(kind, namespace, name), uid, version, body)
        except sqlite3.Error as error:
            raise self._translated("read", error) from error

    def resource_version(self) -> int:
        found = self._connection.execute("SELECT value FROM counter WHERE name = 'resource_version'").fetchone()
        return int(found[0])

    def commit(self, rows: Sequence[Row], resource_version: int, *, makes_room: bool = False) -> None:
        """Write all or nothing. Raises OutOfSpace or InternalError (I/O), naming the file.

        `makes_room`: worth the reserve, if there is no room otherwise.
        """
        while True:
            try:
                self._commit(rows, resource_version)
            except sqlite3.Error as error:
                self._roll_back()
                if _code(error) != sqlite3.SQLITE_FULL or not makes_room or not self._gain_room():
                    raise self._translated("write to", error) from error
            else:
                break
        if self._reserve is not None:
            self._reserve.ensure()

    def _commit(self, rows: Sequence[Row], resource_version: int) -> None:
        execute, put_many = self._connection.execute, self._connection.executemany
        execute("BEGIN IMMEDIATE")
        put_many(
            "REPLACE INTO object VALUES (?, ?, ?, ?, ?, ?)",
            [(*r.key, r.uid, r.resource_version, r.body) for r in rows if r.body is not None],
        )
        put_many("DELETE FROM object WHERE kind = ? AND namespace = ? AND name = ?", [r.key for r in rows if r.body is None])
        execute("UPDATE counter SET value = ? WHERE name = 'resource_version'", (resource_version,))
        reach("store.commit before")
        execute("COMMIT")
        reach("store.commit after")

    def remove_all_but(self, kinds: Collection[str]) -> None:
        """For good, finalizers or not: nobody is there to act on them."""
        marks = ", ".join("?" * len(kinds))
        try:
            self._connection.execute(f"DELETE FROM object WHERE kind NOT IN ({marks})", tuple(kinds))  # noqa: S608 - marks only
        except sqlite3.Error as error:
            raise self._translated("write to", error) from error

    def _gain_room(self) -> bool:
        """A step of the reserve; and a log that is folded into the database begins anew, in the room that it has."""
        if self._reserve is None or not self._reserve.release_step():
            return False
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(RESTART)")
        return True

    def close(self) -> None:
        self._connection.close()
        if self._reserve is not None:
            self._reserve.ensure_what_fits()
        self._unlock()

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # SQLite has rolled back by itself; the first error is the one to report

    def _unlock(self) -> None:
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _translated(self, verb: str, error: sqlite3.Error) -> PodwrightError:
        code = _code(error)
        message = f"cannot {verb} {self.name}: {error} [{getattr(error, 'sqlite_errorname', 'SQLITE_ERROR')}]"
        kind = OutOfSpace if code == sqlite3.SQLITE_FULL else TemporaryError if code in _PASSING else InternalError
        return kind(message, hint=_WAY_OUT.get(code, ""))


def _code(error: sqlite3.Error) -> int:
    """Without what SQLite adds to tell where it happened."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _connect(path: Path | None, name: str) -> sqlite3.Connection:
    if path:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
    connection = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        migrate(connection, name)
    except BaseException:
        connection.close()
        raise
    return connection


def _guard(path: Path) -> int:
    """Hold the lock file for as long as the process lives."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = path.with_name(path.name + ".lock")
    fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(fd, 20).decode(errors="replace").strip() or "unknown"
        os.close(fd)
        raise AlreadyExists(f"cannot open {path}: another agent (process {owner}) uses it", hint="stop that one first") from None
    with suppress(OSError):  # a full disk: the lock is what counts, the number is for people
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd
