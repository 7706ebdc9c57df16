"""What every test may rely on: markers, what it needs, and that it cannot harm the machine.

    @pytest.mark.kernel            real namespaces, links, tables, mounts: root in a throw-away node (scripts/box)
    @pytest.mark.needs("nft", …)   commands, paths, or "filesystem:xfs"; skipped naming what is missing
    @pytest.mark.long              only with --long
    @pytest.mark.vm                boots virtual machines; only with --vm
    @pytest.mark.spawns            in tests/unit: a child process is the test's subject (a linter)

Tests without `kernel` run guarded (tests/guard.py). Modules with `kernel` tests must leave the node as they
found it (tests/leaks.py).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import guard, leaks

TOOLS = os.pathsep.join([str(Path(__file__).parents[1] / ".cache/bin"), os.environ.get("PATH", ""), "/usr/sbin", "/usr/lib/cni"])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run the tests marked `long`")
    parser.addoption("--vm", action="store_true", help="also run the tests marked `vm`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    no_node = missing_for_kernel_tests()
    for item in items:
        if item.get_closest_marker("long") and not config.getoption("--long"):
            item.add_marker(pytest.mark.skip(reason="long: runs with --long"))
        if item.get_closest_marker("vm") and not config.getoption("--vm"):
            item.add_marker(pytest.mark.skip(reason="boots virtual machines: runs with --vm"))
        if item.get_closest_marker("kernel") and no_node:
            item.add_marker(pytest.mark.skip(reason=no_node))
        for need in (need for mark in item.iter_markers("needs") for need in mark.args):
            if reason := missing(need):
                item.add_marker(pytest.mark.skip(reason=reason))


def missing_for_kernel_tests() -> str:
    """Why kernel tests cannot run here, or nothing. They must never meet the machine's own network."""
    if os.geteuid() != 0:
        return "needs root"
    if not os.environ.get("PODWRIGHT_BOX"):
        return "needs a throw-away node: scripts/test, or scripts/box -- pytest"
    return ""


def missing(need: str) -> str:
    kind, _, name = need.rpartition(":")
    if kind == "filesystem":
        return "" if name in Path("/proc/filesystems").read_text(encoding="ascii").split() else f"needs a kernel with {name}"
    if need.startswith("/"):
        return "" if Path(need).exists() else f"needs {need}"
    return "" if shutil.which(need, path=TOOLS) else f"needs the command {need}"


@pytest.fixture(autouse=True)
def _guarded(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.node.get_closest_marker("kernel") or request.node.get_closest_marker("vm"):
        yield
        return
    is_unit = request.path.is_relative_to(Path(__file__).parent / "unit")
    with guard.untouched(children=not is_unit or request.node.get_closest_marker("spawns") is not None):
        yield


@pytest.fixture(scope="module", autouse=True)
def _leaves_the_node_as_found(request: pytest.FixtureRequest) -> Iterator[None]:
    """Per module and not per test, so that a module's own long-lived fixtures are gone when it looks."""
    kernel = [item for item in request.session.items if item.path == request.path and item.get_closest_marker("kernel")]
    if not kernel or missing_for_kernel_tests():
        yield
        return
    before = leaks.snapshot()
    yield
    left = leaks.added(before)
    assert not left, "left on the node: " + "; ".join(left)
