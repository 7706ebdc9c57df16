"""Agents to kill. Every module leaves the node as it found it (tests/leaks.py looks)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.nursery import Nursery


@pytest.fixture(scope="session")
def is_long(pytestconfig: pytest.Config) -> bool:
    return bool(pytestconfig.getoption("--long"))


@pytest.fixture(scope="module", params=["bridge", "routed"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as made:
        yield made


@pytest.fixture(scope="module", params=["bridge", pytest.param("routed", marks=pytest.mark.long)])
def sampled_mode(request: pytest.FixtureRequest) -> str:
    """Both with --long: what differs between them is a handful of requests, and each kill takes most of a second."""
    return str(request.param)
