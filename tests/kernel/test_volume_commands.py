"""`podwright pool` and `podwright volume`, as a person types them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import RunningAgent

pytestmark = [pytest.mark.kernel, pytest.mark.needs("mkfs.ext4", "mkfs.xfs", "filesystem:xfs", "/dev/loop-control")]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    running = RunningAgent(Path(tmp_path_factory.mktemp("commands"))).start()
    yield running
    running.clear()


def test_a_pool_and_what_can_be_done_with_its_volumes(agent: RunningAgent) -> None:
    assert "pool fast is made" in agent.cli("pool", "create", "fast", "--size", "1Gi")
    listed = [line.split()[:2] for line in agent.cli("pool", "list").splitlines()]
    assert [name for name, _ in listed] == ["NAME", "default", "fast"]

    agent.client.create("/volumes", {"name": "data", "requiredBytes": 32 << 20, "parameters": {"pool": "fast"}})
    assert "snapshot monday is taken" in agent.cli("volume", "snapshot", "data", "monday")
    assert "volume again is made" in agent.cli("volume", "restore", "monday", "again", "--size", "64Mi")
    assert "volume copy is made" in agent.cli("volume", "clone", "data", "copy")
    assert "volume data has 48Mi" in agent.cli("volume", "expand", "data", "48Mi")
    assert "volume data is well" in agent.cli("volume", "check", "data")
    assert "is not mounted" in agent.cli("volume", "trim", "data", check=False)
    assert {line.split()[1] for line in agent.cli("volume", "list").splitlines()} == {"NAME", "data", "again", "copy"}
    assert "monday" in agent.cli("volume", "describe", "data")
    assert "has 4 volumes and snapshots" in agent.cli("pool", "delete", "fast", check=False)

    agent.cli("volume", "delete-snapshot", "monday")
    assert "add --yes" in agent.cli("volume", "delete", "data", check=False)
    for name in ("data", "again", "copy"):
        agent.cli("volume", "delete", name, "--yes")
    assert "pool fast is removed" in agent.cli("pool", "delete", "fast")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("pool", "create", "Fast", "--size", "1Gi"), "name:"),
        (("pool", "create", "fast"), "either a directory"),
        (("pool", "create", "fast", "--size", "1Mi"), "too few for a pool"),
        (("pool", "create", "fast", "--size", "lots"), "is not a size"),
        (("pool", "create", "fast", "--size", "900Ti"), "would leave less than"),
        (("pool", "create", "fast", "--directory", "/etc"), "is not empty"),
        (("pool", "create", "fast", "--directory", "/none"), "is not a directory"),
        (("volume", "describe", "none"), "there is no volume none"),
        (("volume", "snapshot", "none", "monday"), "there is no volume none"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_said_with_its_name(agent: RunningAgent, words: tuple[str, ...], message: str) -> None:
    assert message in agent.cli(*words, check=False)
