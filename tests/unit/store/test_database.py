from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from agent.errors import AlreadyExists, InternalError, OutOfSpace, Unsupported
from agent.objects.meta import Key
from agent.store.database import Database, Row
from agent.store.migrations import APPLICATION_ID, MIGRATIONS, Migration, migrate
from agent.store.sqlite import SqliteStore
from tests.unit.store.sample import pod


def row(name: str, body: bytes = b"{}") -> Row:
    return Row(Key("Pod", "default", name), "uid", 1, body)


def test_only_root_can_read_the_files(file: Path) -> None:
    before = os.umask(0)
    try:
        with SqliteStore(file) as store:
            store.create(pod())
            files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
    finally:
        os.umask(before)
    assert files == dict.fromkeys((f"podwright.db{end}" for end in ("", "-wal", "-shm", ".lock", ".reserve")), 0o600)


def test_a_file_that_others_could_read_is_closed_to_them(file: Path) -> None:
    Database(file).close()
    file.chmod(0o644)
    Database(file).close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_every_commit_waits_for_the_disk(file: Path) -> None:
    database = Database(file)
    connection = database._connection
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    database.close()


def test_a_second_agent_is_refused_and_told_who_has_it(file: Path) -> None:
    first = Database(file)
    with pytest.raises(AlreadyExists, match=rf"another agent \(process {os.getpid()}\) uses it") as refusal:
        Database(file)
    assert refusal.value.hint == "stop that one first"
    first.close()
    Database(file).close()


def test_rows_are_written_replaced_and_removed(file: Path) -> None:
    database = Database(file)
    database.commit([row("a"), row("b")], 2)
    database.commit([row("a", b'{"new": 1}'), Row(Key("Pod", "default", "b"))], 4)
    assert [*database.rows()] == [row("a", b'{"new": 1}')]
    assert database.resource_version() == 4
    database.close()


def test_a_full_disk_is_told_with_the_files_name_and_leaves_the_last_commit(file: Path) -> None:
    database = Database(file)
    database.commit([row("a")], 1)
    (pages,) = database._connection.execute("PRAGMA page_count").fetchone()
    database._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OutOfSpace, match=r"cannot write to .*podwright.db: database or disk is full \[SQLITE_FULL\]") as failure:
        database.commit([row("b", b"x" * 100_000)], 2)
    assert failure.value.hint == "make room on its file system: delete files there, or objects (podwright delete still works)"
    assert ([*database.rows()], database.resource_version()) == ([row("a")], 1)
    database._connection.execute("PRAGMA max_page_count = 100000")
    database.commit([row("b", b"x" * 100_000)], 2)
    assert database.resource_version() == 2
    database.close()


def test_a_file_that_is_no_database_is_refused(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"this is not a database, but long enough to look at" * 100)
    with pytest.raises(InternalError, match=r"cannot open .*podwright.db: file is not a database"):
        Database(file)


def test_a_damaged_file_is_told_and_not_taken_for_an_empty_one(file: Path) -> None:
    with SqliteStore(file) as store:
        for number in range(200):
            store.create_soon(pod(f"p{number}"))
    content = bytearray(file.read_bytes())
    content[8192 : len(content)] = b"\xff" * (len(content) - 8192)
    file.write_bytes(content)
    with pytest.raises(InternalError, match=r"SQLITE_CORRUPT"):
        SqliteStore(file)
    with pytest.raises(InternalError, match=r"SQLITE_CORRUPT"):  # and the lock is free again
        SqliteStore(file)


def test_a_database_of_another_program_is_left_alone(file: Path) -> None:
    file.parent.mkdir()
    other = sqlite3.connect(file)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(InternalError, match="it is a database of another program"):
        Database(file)
    assert sqlite3.connect(file).execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


def test_a_newer_schema_is_refused_with_the_way_out(file: Path) -> None:
    database = Database(file)
    database._connection.execute("INSERT INTO migration (number, name) VALUES (99, 'from the future')")
    database.close()
    with pytest.raises(Unsupported, match=rf"its schema is number 99, this agent knows {len(MIGRATIONS)}") as refusal:
        Database(file)
    assert "newer" in refusal.value.hint


def tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


def test_migrations_run_once_each_in_order() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    first = Migration("first", ("CREATE TABLE a (x)",))
    second = Migration("second", ("ALTER TABLE a ADD COLUMN y", "CREATE TABLE b (x)"))
    migrate(connection, "test", (first,))
    migrate(connection, "test", (first, second))
    migrate(connection, "test", (first, second))
    assert connection.execute("SELECT number, name FROM migration").fetchall() == [(1, "first"), (2, "second")]
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


def test_a_migration_that_fails_leaves_the_schema_before_it() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, "test", (Migration("bad", ("CREATE TABLE a (x)", "CREATE TABEL b (x)")),))
    assert tables(connection) == {"migration"}
