"""The embedded store: objects in one SQLite file, served from memory.

One thread writes. It takes every write that waits, plans each against the committed view plus what came before it
in the batch, commits them all with one fsync, makes them visible, and only then answers. So a caller who is told
"done" finds the object after any crash, readers never see what could still be lost, and eight callers share an fsync.
Callbacks on the futures run in that thread and must not wait for the store.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from agent.errors import InternalError, NotFound, OutOfSpace, Unavailable
from agent.metrics import STORE_COMMIT_SECONDS, STORE_COMMITS
from agent.objects.encode import Record, encode, from_record
from agent.objects.meta import Key, Object
from agent.store import change
from agent.store.base import Event, ObjectT
from agent.store.change import Change, Stamp
from agent.store.database import Database, Row
from agent.store.view import HISTORY, View, ViewWatch

Plan = Callable[[Object | None, Stamp], Change]
_FEW = 32
"""Writes in one commit while the disk is full."""


@dataclass(frozen=True, slots=True)
class _Write:
    key: Key
    plan: Plan
    future: Future[Any] = field(default_factory=Future)


@dataclass(slots=True)
class _Batch:
    """Planned and not yet committed: the newest value of each key, the events, and what each caller will hear."""

    resource_version: int
    values: dict[Key, Object | None] = field(default_factory=dict)
    rows: dict[Key, Row] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    answers: list[tuple[_Write, Change | Exception]] = field(default_factory=list)


class SqliteStore:
    """Implements store.base.Store. `path` None keeps everything in memory, for tests."""

    def __init__(self, path: Path | None, *, history: int = HISTORY, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._database = Database(path)
        try:
            records = self._read()
            self._view = View([record.object for record in records], self._database.resource_version(), history)
        except BaseException:
            self._database.close()
            raise
        self._unplaced = {record.object.metadata.uid: record.unplaced for record in records if record.unplaced}
        self._now = now
        self._queue: SimpleQueue[_Write | None] = SimpleQueue()
        self._gate = threading.Lock()
        self._is_closed = False
        self._writer = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._writer.start()

    def __enter__(self) -> SqliteStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, key: Key) -> Object:
        found = self._view.find(key)
        if found is None:
            raise NotFound(f"{key} does not exist")
        return found

    def find(self, key: Key) -> Object | None:
        return self._view.find(key)

    def list(self, kind: str, namespace: str | None = None) -> tuple[Sequence[Object], int]:
        return self._view.list(kind, namespace)

    def watch(self, kinds: Sequence[str], since: int | None = None) -> ViewWatch:
        return self._view.watch(kinds, since)

    def create(self, new: ObjectT) -> ObjectT:
        return self.create_soon(new).result()

    def update(self, changed: ObjectT) -> ObjectT:
        return self.update_soon(changed).result()

    def delete(self, key: Key, *, uid: str = "", grace_period_s: int | None = None) -> Object | None:
        return self.delete_soon(key, uid=uid, grace_period_s=grace_period_s).result()

    def create_soon(self, new: ObjectT) -> Future[ObjectT]:
        return self._submit(_Write(new.key, lambda current, stamp: change.created(new, current, stamp)))

    def update_soon(self, changed: ObjectT) -> Future[ObjectT]:
        return self._submit(_Write(changed.key, lambda current, stamp: change.updated(changed, current, stamp)))

    def delete_soon(self, key: Key, *, uid: str = "", grace_period_s: int | None = None) -> Future[Object | None]:
        def plan(current: Object | None, stamp: Stamp) -> Change:
            return change.deleted(key, current, stamp, uid=uid, grace_period_s=grace_period_s)

        return self._submit(_Write(key, plan))

    def close(self) -> None:
        """Finish the writes that wait, end every watch, and free the file for another agent."""
        with self._gate:
            if self._is_closed:
                return
            self._is_closed = True
            self._queue.put(None)
        self._writer.join()
        self._view.close()
        self._database.close()

    def _read(self) -> Sequence[Record]:
        """Every object of the file. One that cannot be read stops the agent: to go on without it would tear down what it describes."""
        records = []
        for row in self._database.rows():
            try:
                records.append(from_record(row.key.kind, row.body or b""))
            except InternalError as error:
                raise InternalError(f"cannot open {self._database.name}: {row.key}: {error.message}", hint=error.hint) from error
        return records

    def _submit(self, write: _Write) -> Future[Any]:
        with self._gate:
            if self._is_closed:
                raise Unavailable(f"cannot write {write.key}: the store is closed")
            self._queue.put(write)
        return write.future

    def _run(self) -> None:
        is_open = True
        while is_open:
            waiting = [self._queue.get()]
            while not self._queue.empty():
                waiting.append(self._queue.get())
            writes = [write for write in waiting if write is not None and write.future.set_running_or_notify_cancel()]
            is_open = None not in waiting
            self._write(writes)

    def _write(self, writes: Sequence[_Write]) -> None:
        batch = self._batch(writes)
        try:
            self._commit(batch)
        except OutOfSpace as error:
            self._write_what_makes_room(batch, error)
        except Exception as error:  # noqa: BLE001 - whatever it was, nobody may wait for ever
            _fail(writes, error)
        else:
            _answer(batch)

    def _write_what_makes_room(self, batch: _Batch, error: OutOfSpace) -> None:
        """Deletions are planned and written once more, with the reserve; what needs room fails."""
        refused = [write for write, answer in batch.answers if isinstance(answer, Change) and not answer.makes_room]
        rest = [write for write, answer in batch.answers if not isinstance(answer, Change) or answer.makes_room]
        _fail(refused, error)
        for start in range(0, len(rest), _FEW):
            part = rest[start : start + _FEW]
            again = self._batch(part)
            try:
                self._commit(again, makes_room=True)
            except Exception as second:  # noqa: BLE001
                _fail(part, second)
            else:
                _answer(again)

    def _batch(self, writes: Sequence[_Write]) -> _Batch:
        batch = _Batch(self._view.resource_version)
        for write in writes:
            batch.answers.append((write, self._planned(write, batch)))
        return batch

    def _commit(self, batch: _Batch, *, makes_room: bool = False) -> None:
        if batch.events:
            with STORE_COMMIT_SECONDS.time():
                self._database.commit([*batch.rows.values()], batch.resource_version, makes_room=makes_room)
            STORE_COMMITS.inc()
            self._view.publish(batch.events, batch.resource_version)

    def _planned(self, write: _Write, batch: _Batch) -> Change | Exception:
        """What becomes of one write; its failure is its own and leaves the batch as it was."""
        current = batch.values[write.key] if write.key in batch.values else self._view.find(write.key)
        stamp = Stamp(batch.resource_version + 1, self._now(), "" if current else str(uuid.uuid4()))
        try:
            planned = write.plan(current, stamp)
            row = self._row(write.key, planned.new)
        except Exception as refusal:  # noqa: BLE001 - a CallerError, or an object that cannot be encoded
            return refusal
        if planned.event is not None:
            batch.resource_version += 1
            batch.values[write.key] = planned.new
            batch.rows[write.key] = row
            batch.events.append(planned.event)
        return planned

    def _row(self, key: Key, value: Object | None) -> Row:
        if value is None:
            return Row(key)
        metadata = value.metadata
        return Row(key, metadata.uid, int(metadata.resource_version), encode(value, self._unplaced.get(metadata.uid, {})))


def _answer(batch: _Batch) -> None:
    for write, answer in batch.answers:
        if isinstance(answer, Change):
            write.future.set_result(answer.result)
        else:
            write.future.set_exception(answer)


def _fail(writes: Iterable[_Write], error: Exception) -> None:
    for write in writes:
        write.future.set_exception(error)
