"""The door to other programs (any user may start one)."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from agent.errors import CommandFailed, DeadlineExceeded, Unsupported
from agent.kernel.run import run

pytestmark = pytest.mark.spawns


def test_output_is_returned_and_input_given() -> None:
    assert run(["cat"], stdin="dear kernel") == "dear kernel"


def test_the_locale_is_c() -> None:
    assert run(["sh", "-c", "echo $LC_ALL $GREETING"], environment={"GREETING": "hi"}) == "C hi\n"


def test_without_stdin_a_reader_sees_the_end_at_once() -> None:
    assert run(["cat"]) == ""


def test_a_failure_can_be_pasted() -> None:
    with pytest.raises(CommandFailed, match=r"`sh -c 'echo no such disk >&2; exit 3'` ended with status 3: no such disk"):
        run(["sh", "-c", "echo no such disk >&2; exit 3"])
    assert run(["sh", "-c", "exit 3"], accept=(0, 3)) == ""


def test_a_missing_program_is_named() -> None:
    with pytest.raises(Unsupported, match=r"cannot run mkfs\.nonesuch: no such program"):
        run(["mkfs.nonesuch"])


def test_a_deadline_ends_the_whole_group(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"did not end within 0\.2 s and was killed"):
        run(["sh", "-c", f"sleep 60 & echo $! > {tmp_path}/pid; wait"], deadline_s=0.2)
    assert time.monotonic() - started < 5
    grandchild = int((tmp_path / "pid").read_text(encoding="ascii"))
    assert _is_gone(grandchild)


def _is_gone(pid: int) -> bool:
    """Dead, or a zombie that its new parent has not yet reaped."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if ") Z " in Path(f"/proc/{pid}/stat").read_text(encoding="ascii"):
            return True
        time.sleep(0.01)
    return False
