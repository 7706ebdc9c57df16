"""The room kept for deletions: allocated, given up in steps, taken again."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.errors import OutOfSpace
from agent.objects.meta import Key
from agent.store.database import Database, Row
from agent.store.reserve import SIZE_BYTES, STEP_BYTES, Reserve


def test_it_is_allocated_and_given_up_in_steps(tmp_path: Path) -> None:
    file = tmp_path / "reserve"
    reserve = Reserve(file, 2 * STEP_BYTES)
    assert not reserve.release_step()
    reserve.ensure()
    assert file.stat().st_blocks * 512 >= 2 * STEP_BYTES
    assert [reserve.release_step() for _ in range(3)] == [True, True, False]
    assert file.stat().st_blocks == 0
    reserve.ensure()
    assert file.stat().st_size == 2 * STEP_BYTES


def test_a_commit_gives_it_up_only_for_what_makes_room(file: Path) -> None:
    database, reserve = Database(file), file.with_name("podwright.db.reserve")
    (pages,) = database._connection.execute("PRAGMA page_count").fetchone()
    database._connection.execute(f"PRAGMA max_page_count = {pages}")
    big = Row(Key("Pod", "default", "big"), "uid", 1, b"x" * 100_000)
    for makes_room, left in ((False, SIZE_BYTES), (True, 0)):
        with pytest.raises(OutOfSpace):
            database.commit([big], 1, makes_room=makes_room)
        assert reserve.stat().st_size == left
    database.commit([Row(Key("Pod", "default", "small"), "uid", 1, b"{}")], 1)
    assert reserve.stat().st_size == SIZE_BYTES
    database.close()
