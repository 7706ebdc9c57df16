"""The installed binary against an agent that is there: what goes over, what comes back, what it imports."""

import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from agent.api.cni import Reply
from agent.objects.attachment import AttachmentKey
from cni import spec
from tests.runtime.conftest import CONFIG, Installed, MemoryNetwork, Server

pytestmark = pytest.mark.spawns
KEY = AttachmentKey("pods", "c1", "eth0")


@pytest.mark.usefixtures("running")
class TestVerbs:
    def test_add_check_del(self, installed: Installed, network: MemoryNetwork) -> None:
        added = installed.call("ADD")
        assert (added.returncode, added.stderr) == (0, b"")
        result = json.loads(added.stdout)
        assert [ip["address"] for ip in result["ips"]] == ["10.73.0.5/32"]
        assert network.attached[KEY].pod.name == "web"
        checked = installed.call("CHECK", json.dumps({**json.loads(CONFIG), "prevResult": result}).encode())
        assert (checked.returncode, checked.stdout) == (0, b"")
        deleted = installed.call("DEL")
        assert (deleted.returncode, deleted.stdout, network.attached) == (0, b"", {})

    def test_an_error_is_json_on_stdout_and_status_1(self, installed: Installed) -> None:
        installed.call("ADD")
        again = installed.call("ADD")
        assert (again.returncode, again.stderr) == (1, b"")
        assert json.loads(again.stdout)["code"] == 101

    def test_status_and_gc(self, installed: Installed, network: MemoryNetwork) -> None:
        assert installed.call("STATUS").returncode == 0
        installed.call("ADD")
        valid = [{"containerID": "other", "ifname": "eth0"}]
        collected = installed.call("GC", json.dumps({**json.loads(CONFIG), "cni.dev/valid-attachments": valid}).encode())
        assert (collected.returncode, network.attached) == (0, {})

    def test_its_own_namespace_is_refused(self, installed: Installed) -> None:
        refused = installed.call("ADD", CNI_NETNS="/proc/self/ns/net")
        assert json.loads(refused.stdout)["code"] == 8

    def test_an_unknown_command_is_refused(self, installed: Installed) -> None:
        assert json.loads(installed.call("UPDATE").stdout)["code"] == 4


def test_environment_and_stdin_arrive_as_they_are(installed: Installed, serve: Callable[..., Server]) -> None:
    seen: list[bytes] = []

    def handle(raw: bytes) -> Reply:
        seen.append(raw)
        return Reply(b"\x00\xffodd\n")

    serve(handle)
    stdin = b"\0\0 not json \xff"
    assert installed.call("ADD", stdin, CNI_ARGS="A=\udcff", TRACEPARENT="00-1-2-01").stdout == b"\x00\xffodd\n"
    packed, _, rest = seen[0].partition(b"\0\0")
    names = {entry.partition(b"=")[0] for entry in packed.split(b"\0")}
    assert rest == stdin
    assert b"CNI_ARGS=A=\xff" in packed.split(b"\0")
    assert b"TRACEPARENT" in names
    assert b"SECRET" not in names


def test_a_megabyte_each_way(installed: Installed, serve: Callable[..., Server]) -> None:
    serve(lambda raw: Reply(raw.partition(b"\0\0")[2]))
    text = b"0123456789abcdef" * 65536
    assert installed.call("ADD", text).stdout == text


def test_a_full_backlog_is_waited_for(installed: Installed) -> None:
    """Many runtimes at once: more connections than the agent's queue holds, and an agent that is slow to accept."""

    class Narrow(Server):
        request_queue_size = 1

    server = Narrow(installed.socket, lambda _: Reply(b"ok"))
    callers = [installed.start("STATUS") for _ in range(8)]
    for caller in callers:
        assert caller.stdin
        caller.stdin.close()
    time.sleep(0.5)
    server.start()
    assert [(caller.wait(20), caller.stdout.read() if caller.stdout else b"") for caller in callers] == [(0, b"ok")] * 8
    server.stop()


def test_version_needs_no_agent_and_does_not_read_stdin(installed: Installed) -> None:
    process = installed.start("VERSION")
    assert process.stdout
    assert json.loads(process.stdout.read()) == spec.version_object()
    assert process.wait(5) == 0
    process.communicate()


def test_without_a_command_it_says_what_it_is(installed: Installed) -> None:
    shown = installed.call("")
    assert (shown.returncode, shown.stdout) == (0, b"")
    assert f"CNI protocol versions supported: {', '.join(spec.SUPPORTED)}".encode() in shown.stderr


def test_a_closed_stdin_is_an_input_error(installed: Installed) -> None:
    command = f"CNI_COMMAND=ADD exec {installed.binary} <&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["code"], done.stderr) == (1, 5, b"")


@pytest.mark.usefixtures("running")
def test_the_happy_path_imports_nothing_but_built_in_modules(installed: Installed) -> None:
    def imported(*argv: Any) -> set[str]:
        environment = {"CNI_COMMAND": "STATUS", "CNI_PATH": "/x"}
        done = subprocess.run(
            ["/usr/bin/python3", "-IS", "-X", "importtime", *argv], env=environment, input=CONFIG, capture_output=True, check=True
        )
        return {name.decode() for name in re.findall(rb"\| +(\S+)$", done.stderr, re.MULTILINE)}

    assert imported(installed.binary) - imported("-c", "pass") <= {"_socket"}


def test_an_agent_that_answers_something_else_is_told(installed: Installed) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(installed.socket))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        error = json.loads(installed.call("ADD").stdout)
    assert error["code"] == 11
    assert "403 Forbidden" in error["msg"]
