"""The node that datapath tests run on: an agent per mode, pods of several shapes, servers in all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import RunningAgent


@pytest.fixture(scope="module", params=["bridge", "routed"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def agent(mode: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    """A running agent; at the end everything it made is taken down and must leave nothing."""
    running = RunningAgent(Path(tmp_path_factory.mktemp(mode)), network__mode=mode)
    running.start()
    yield running
    running.clear()
