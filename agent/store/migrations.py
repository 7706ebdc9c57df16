"""The database's schema as numbered steps. A step that was released is never edited: a change is a new step.

Each step runs in one transaction together with its row in `migration`, so a crash leaves a database at one step or the
next. A database of a newer schema is refused untouched: an older agent could only damage it.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from agent.errors import InternalError, Unsupported

APPLICATION_ID = 0x70777631
"""PRAGMA application_id: tells a Podwright database from anyone else's."""


@dataclass(frozen=True, slots=True)
class Migration:
    name: str
    statements: tuple[str, ...]


MIGRATIONS = (
    Migration(
        "objects as JSON",
        (
            "CREATE TABLE object (kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, uid TEXT NOT NULL,"
            " resource_version INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, namespace, name)) STRICT, WITHOUT ROWID",
            "CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID",
            "INSERT INTO counter VALUES ('resource_version', 0)",
        ),
    ),
)


def migrate(connection: sqlite3.Connection, file: str, steps: tuple[Migration, ...] = MIGRATIONS) -> None:
    """Bring the database to the newest schema. Raises Unsupported for a newer one, InternalError for a foreign file."""
    _claim(connection, file)
    (done,) = connection.execute("SELECT coalesce(max(number), 0) FROM migration").fetchone()
    if done > len(steps):
        raise Unsupported(
            f"cannot open {file}: its schema is number {done}, this agent knows {len(steps)}",
            hint="install the version of podwright that wrote it, or a newer one",
        )
    for number, step in enumerate(steps[done:], done + 1):
        _apply(connection, number, step)


def _claim(connection: sqlite3.Connection, file: str) -> None:
    (identity,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if identity != APPLICATION_ID and tables:
        raise InternalError(f"cannot open {file}: it is a database of another program", hint="name another state directory")
    if not tables:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL,"
        " applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))) STRICT"
    )


def _apply(connection: sqlite3.Connection, number: int, step: Migration) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in step.statements:
            connection.execute(statement)
        connection.execute("INSERT INTO migration (number, name) VALUES (?, ?)", (number, step.name))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
