"""DELs that were written down: carried out in order, kept while they fail, dropped when they never can succeed."""

from pathlib import Path

from agent.api.cni import CniService, Reply
from agent.api.spool import drain, drain_waiting
from agent.errors import InvalidObject, KernelError
from tests.unit.cni.test_cni_service import MemoryNetwork


def put(spool: Path, name: str, content: bytes = b"") -> Path:
    spool.mkdir(exist_ok=True)
    path = spool / name
    path.write_bytes(content or name.encode())
    return path


def test_oldest_first_and_gone_afterwards(tmp_path: Path) -> None:
    seen: list[bytes] = []

    def handle(raw: bytes) -> Reply:
        seen.append(raw)
        return Reply()

    spool = tmp_path / "spool"
    put(spool, "00000000000000000002-9.del")
    put(spool, "00000000000000000001-8.del")
    assert drain(spool, handle) == 2
    assert seen == [b"00000000000000000001-8.del", b"00000000000000000002-9.del"]
    assert [path.name for path in spool.iterdir()] == ["lock"]


def test_what_fails_for_now_stays(tmp_path: Path) -> None:
    entry = put(tmp_path / "spool", "1-1.del")
    assert drain(tmp_path / "spool", lambda _: Reply(error=KernelError(16, "ip link del pwv1"))) == 0
    assert entry.exists()
    assert drain(tmp_path / "spool", lambda _: Reply()) == 1


def test_what_can_never_succeed_is_dropped(tmp_path: Path) -> None:
    entry = put(tmp_path / "spool", "1-1.del")
    assert drain(tmp_path / "spool", lambda _: Reply(error=InvalidObject("name: missing"))) == 1
    assert not entry.exists()


def test_the_draft_of_a_writer_that_died_is_removed(tmp_path: Path) -> None:
    draft = put(tmp_path / "spool", "1-1.tmp")
    assert drain(tmp_path / "spool", lambda _: Reply()) == 0
    assert not draft.exists()


def test_nothing_waits_in_a_spool_that_is_not_there(tmp_path: Path) -> None:
    assert drain_waiting(tmp_path / "spool", lambda _: Reply()) == 0
    put(tmp_path / "spool", "1-1.del")
    assert drain_waiting(tmp_path / "spool", lambda _: Reply()) == 1


def test_an_entry_that_a_power_cut_emptied_is_dropped_and_keeps_no_other_back(tmp_path: Path) -> None:
    service, spool = CniService(MemoryNetwork()), tmp_path / "spool"
    spool.mkdir()
    for name in ("1-1.del", "2-2.del"):
        (spool / name).write_bytes(b"")
    assert drain(spool, service.handle) == 2
    assert [path.name for path in spool.iterdir()] == ["lock"]
