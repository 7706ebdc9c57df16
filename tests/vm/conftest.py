"""Virtual machines for tests: what namespaces cannot show (boot, systemd, another kernel, two machines).

Marked `vm`, run by `scripts/test --vm`. A module's tests share their machines and go on from each other's state, in
the order in which they stand: a boot costs half a minute, an installation three.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "scripts/vm.d"))

from disposable.cache import Unable
from disposable.machine import Machine, booted


@pytest.fixture(scope="module")
def fresh() -> Iterator[Machine]:
    """A Debian 12 on which nothing has been installed that Podwright needs."""
    yield from machines(1, fresh=True)


@pytest.fixture(scope="module")
def ready() -> Iterator[Machine]:
    """With the packages, and the clone's `.venv`."""
    yield from machines(1, fresh=False)


def machines(count: int, *, fresh: bool) -> Iterator[Machine]:
    try:
        with booted(count, fresh=fresh) as found:
            yield found[0]
    except Unable as error:
        pytest.skip(str(error))
