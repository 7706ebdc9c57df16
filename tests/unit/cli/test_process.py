"""The command as users start it: a process of its own, quick to start and light."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent.api.client import Client
from agent.api.server import Server
from agent.cli.main import COMMANDS
from tests.unit.api.conftest import PODS, pod

pytestmark = pytest.mark.spawns

ROOT = Path(__file__).parents[3]
HEAVY = ("aiohttp", "asyncio", "msgspec", "pyroute2", "yaml", "loguru", "sqlite3", "psutil", "prometheus_client", "subprocess")


def spawn(command: list[str], socket: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PODWRIGHT_SOCKET": str(socket), **more}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=False)


def start(*arguments: str, socket: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return spawn([sys.executable, "-m", "agent.cli.main", *arguments], socket, **more)


def test_a_real_process(server: Server, client: Client, socket_path: Path) -> None:
    client.create(PODS, pod("web-1"))
    done = start("get", "pods", socket=socket_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"NAME    READY   STATUS    RESTARTS   AGE\nweb-1   0/1     Pending   0          \d+s\n", done.stdout)
    missing = start("get", "pod", "absent", socket=socket_path)
    assert (missing.returncode, missing.stdout, missing.stderr) == (1, "", "error: pod default/absent does not exist\n")


def test_get_imports_nothing_heavy(server: Server, socket_path: Path) -> None:
    program = "import sys; from agent.cli.main import run; run(['get', 'pods']); print(*sys.modules)"
    environment = {"PATH": os.environ["PATH"], "PODWRIGHT_SOCKET": str(socket_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=True
    )
    assert not {module.partition(".")[0] for module in done.stdout.split()} & set(HEAVY)


def test_a_reader_that_closes_early_is_no_error(server: Server, client: Client, socket_path: Path) -> None:
    for number in range(50):
        client.create(PODS, {**pod(), "metadata": {"name": f"p{number}", "annotations": {"filler": "x" * 5000}}})
    script = f"{sys.executable} -m agent.cli.main get pods -o json | head -1"
    done = spawn(["/bin/sh", "-c", script], socket_path)
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_no_colour_codes_in_a_pipe(tmp_path: Path) -> None:
    assert "\x1b" not in start("get", "pods", socket=tmp_path / "none").stderr


def test_help_lists_every_command(tmp_path: Path) -> None:
    listed = start("--help", socket=tmp_path / "none").stdout
    assert all(f"\n  {name} " in listed for name in COMMANDS)


def test_completion_knows_the_commands(tmp_path: Path) -> None:
    asked = {"_PODWRIGHT_COMPLETE": "bash_complete", "COMP_WORDS": "podwright desc", "COMP_CWORD": "1"}
    assert start(socket=tmp_path / "none", **asked).stdout == "plain,describe\n"
