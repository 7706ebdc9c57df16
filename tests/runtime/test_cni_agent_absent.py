"""The installed binary without an agent: it waits a little, says the right code, and loses no DEL."""

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.api.cni import CniService
from agent.api.spool import drain
from agent.objects.attachment import AttachmentKey
from cni import spec
from tests.runtime.conftest import CONFIG, Installed, MemoryNetwork, Server

pytestmark = pytest.mark.spawns
WAIT = "WAIT_S = 5.0"


def entries(installed: Installed) -> list[Path]:
    return sorted(installed.spool.glob("*.del"))


@pytest.mark.parametrize(("command", "code"), [("ADD", 11), ("CHECK", 11), ("GC", 11), ("STATUS", 50), ("UPDATE", 4)])
def test_each_verb_has_its_code(installed: Installed, command: str, code: int) -> None:
    installed.faster(WAIT, "WAIT_S = 0.2")
    failed = installed.call(command, b'{"cniVersion":"1.0.0","name":"pods"}')
    error = json.loads(failed.stdout)
    assert (failed.returncode, error["cniVersion"], error["code"], failed.stderr) == (1, "1.0.0", code, b"")


def test_add_waits_for_an_agent_that_is_starting(installed: Installed, service: CniService, network: MemoryNetwork) -> None:
    caller = installed.start("ADD")
    assert caller.stdin
    caller.stdin.write(CONFIG)
    caller.stdin.close()
    time.sleep(0.4)
    server = Server(installed.socket, service.handle)
    server.start()
    assert caller.wait(5) == 0
    assert len(network.attached) == 1
    server.stop()


def test_del_succeeds_and_the_next_agent_carries_it_out(installed: Installed, service: CniService, network: MemoryNetwork) -> None:
    deleted = installed.call("DEL")
    assert (deleted.returncode, deleted.stdout, deleted.stderr) == (0, b"", b"")
    assert drain(installed.spool, service.handle) == 1
    assert network.detached == [AttachmentKey("pods", "c1", "eth0")]
    assert entries(installed) == []


def test_an_entry_tells_which_boot_and_which_namespace(installed: Installed) -> None:
    installed.call("DEL")
    environment, stdin = spec.split_wire(entries(installed)[0].read_bytes())
    assert environment["PODWRIGHT_BOOT_ID"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert int(environment["PODWRIGHT_NETNS_INODE"]) == installed.folder.stat().st_ino
    assert stdin == CONFIG
    assert {path.stat().st_mode & 0o777 for path in installed.spool.iterdir()} == {0o600}
    assert installed.spool.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("environment", "stdin", "code"),
    [({"CNI_IFNAME": ""}, CONFIG, 4), ({}, b"{", 6), ({}, b"[" * 100_000, 6), ({}, b"{}", 7)],
)
def test_a_del_that_could_never_be_carried_out_is_refused(
    installed: Installed, environment: dict[str, str], stdin: bytes, code: int
) -> None:
    assert json.loads(installed.call("DEL", stdin, **environment).stdout)["code"] == code
    assert entries(installed) == []


def test_a_spool_that_cannot_be_written_is_an_error(installed: Installed) -> None:
    installed.spool.parent.write_text("in the way")
    failed = installed.call("DEL")
    assert (failed.returncode, json.loads(failed.stdout)["code"], failed.stderr) == (1, 11, b"")


@pytest.mark.parametrize("command", ["DEL", "ADD"])
def test_an_agent_that_hangs(installed: Installed, command: str) -> None:
    installed.faster("30 if command", "1 if command")
    installed.faster("else 60)", "else 1)")
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(installed.socket))
        hung.listen()
        started = time.monotonic()
        done = installed.call(command)
    assert 0.9 < time.monotonic() - started < 3
    assert len(entries(installed)) == (1 if command == "DEL" else 0)
    assert done.returncode == (0 if command == "DEL" else 1)
    assert command == "DEL" or "hangs" in json.loads(done.stdout)["msg"]


@pytest.mark.parametrize("command", ["DEL", "ADD"])
def test_an_agent_that_dies_in_the_middle(installed: Installed, command: str) -> None:
    with socket.socket(socket.AF_UNIX) as dying:
        dying.bind(str(installed.socket))
        dying.listen()

        def die() -> None:
            connection, _ = dying.accept()
            connection.recv(65536)
            dying.close()
            connection.close()

        threading.Thread(target=die, daemon=True).start()
        done = installed.call(command)
    assert len(entries(installed)) == (1 if command == "DEL" else 0)
    assert done.returncode == (0 if command == "DEL" else 1)


def test_no_del_is_lost_while_an_agent_starts(installed: Installed, service: CniService, network: MemoryNetwork) -> None:
    """Callers before, during and after its start: each DEL is in the spool that it drains or on the socket that it serves."""
    names = [f"c{number}" for number in range(30)]
    ready: list[Server] = []

    def start_agent() -> None:
        time.sleep(0.15)
        server = Server(installed.socket, service.handle)  # it listens
        time.sleep(0.05)
        drain(installed.spool, service.handle)
        time.sleep(0.05)
        server.start()  # it accepts
        ready.append(server)

    agent = threading.Thread(target=start_agent)
    agent.start()
    callers = []
    for name in names:
        caller = installed.start("DEL", name)
        assert caller.stdin
        caller.stdin.write(CONFIG)
        caller.stdin.close()
        callers.append(caller)
        time.sleep(0.01)
    assert [caller.wait(20) for caller in callers] == [0] * len(names)
    agent.join()
    assert entries(installed) == []
    assert sorted(key.container_id for key in network.detached) == sorted(names)
    ready[0].stop()


def test_a_draining_agent_is_waited_for_not_raced(
    installed: Installed, service: CniService, network: MemoryNetwork, serve: Callable[..., Server]
) -> None:
    """The lock is taken: the caller waits, then finds the socket that was not there before."""
    import fcntl

    installed.spool.mkdir(parents=True)
    with open(installed.spool / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        caller = installed.start("DEL")
        assert caller.stdin
        caller.stdin.write(CONFIG)
        caller.stdin.close()
        time.sleep(0.3)
        assert caller.poll() is None
        serve(service.handle)
    assert caller.wait(5) == 0
    assert entries(installed) == []
    assert len(network.detached) == 1
