"""The node that datapath tests run on: an agent per mode, pods of several shapes, servers in all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.running import RunningAgent

BRIDGE_NETFILTER = [Path(f"/proc/sys/net/bridge/bridge-nf-call-{table}tables") for table in ("ip", "ip6")]


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


@pytest.fixture(params=["nf=0", "nf=1"])
def bridge_netfilter(request: pytest.FixtureRequest) -> Iterator[None]:
    """With and without bridge netfilter, which other tools turn on for their own bridges: it counts for all of the node's."""
    with bridge_netfilter_set(request.param.removeprefix("nf=")):
        yield


@contextmanager
def bridge_netfilter_set(value: str) -> Iterator[None]:
    if not BRIDGE_NETFILTER[0].exists():
        if value == "1":
            pytest.skip("needs a kernel with br_netfilter")
        yield
        return
    before = [path.read_text() for path in BRIDGE_NETFILTER]
    flip_bridge_netfilter(value)
    yield
    for path, text in zip(BRIDGE_NETFILTER, before, strict=True):
        path.write_text(text)


def flip_bridge_netfilter(value: str) -> None:
    for path in BRIDGE_NETFILTER:
        path.write_text(value)
