"""The two commands a user types, from nothing to pods and back. What `down` leaves fails the module (conftest)."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.kernel, pytest.mark.needs("nft", str(ROOT / ".venv/bin/podwright"))]


def run(*command: str, environment: dict[str, str] | None = None) -> str:
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def shown() -> Iterator[str]:
    """What the first `up` shows."""
    settings = {path: Path(path).read_text() for path in ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/uplink/accept_ra")}
    try:
        yield run("scripts/up")
    finally:
        for _ in ("what is there", "nothing"):
            run("scripts/down", "--purge", "--yes")
    assert {path: Path(path).read_text() for path in settings} == settings


def test_pods_have_addresses_of_both_families(shown: str) -> None:
    rows = [line for line in shown.splitlines() if re.match(r"(client|front|web-\S+) ", line)]
    assert len(rows) == 4
    assert all(re.search(r"10\.73\.\S+,fd73:", row) for row in rows)


def test_every_path_was_measured_and_works(shown: str) -> None:
    assert "18 of 18 paths work" in shown
    for path in ("pod → pod", "node → pod", "pod → node", "outside → hostPort"):
        assert re.search(rf"{path} .*ok \S+ ms +ok \S+ ms", shown)


def test_three_commands_to_try_next(shown: str) -> None:
    """And the first of them does what it says."""
    commands = re.findall(r"^    (podwright .*)$", shown, re.MULTILINE)
    assert len(commands) == 3
    assert "10.73." in run("bash", "-c", commands[0])


@pytest.mark.usefixtures("shown")
def test_up_again_keeps_the_pods() -> None:
    """Also without the box's outside: then it makes one of its own for the moment."""
    before = pods()
    elsewhere = {name: value for name, value in os.environ.items() if name != "PODWRIGHT_OUTSIDE"}
    assert "18 of 18 paths work" in run("scripts/up", environment=elsewhere)
    assert pods() == before


def pods() -> set[str]:
    return set(run("podwright", "get", "pods", "-n", "demo", "-o", "jsonpath={.items[*].status.podIPs}").split())
