"""Virtual machines for tests: what namespaces cannot show (boot, systemd, another kernel, two machines).

Marked `vm`, run by `scripts/test --vm`. A module's tests share their machines and go on from each other's state, in
the order in which they stand: a boot costs half a minute, an installation three.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.append(str(Path(__file__).parents[2] / "scripts/vm.d"))

if TYPE_CHECKING:
    from disposable.machine import Machine


@pytest.fixture(scope="module")
def fresh() -> Iterator[Machine]:
    """A Debian 12 on which nothing has been installed that Podwright needs."""
    from .machines import one

    yield from one(fresh=True)


@pytest.fixture(scope="module")
def ready() -> Iterator[Machine]:
    """With the packages, and the clone's `.venv`."""
    from .machines import one

    yield from one(fresh=False)
