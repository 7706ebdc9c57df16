"""Whatever others do to the node, with the agent alive or dead: its next start puts everything right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from agent.kernel.netlink import NETLINK_NETFILTER, NetlinkSocket
from agent.kernel.nft import Nft
from tests.chaos import interference, stage
from tests.chaos.interference import ALL, Interference
from tests.chaos.invariants import within
from tests.chaos.nursery import Nursery
from tests.chaos.stage import BYSTANDERS, Stage, addresses, unanswered

pytestmark = pytest.mark.kernel

REPAIR_S = 0.5
"""How long a living agent gets before it is restarted."""


@dataclass
class World:
    stage: Stage
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)

    def make(self) -> None:
        self.stage.agent.start()
        self.pods = {name: self.stage.make_pod(name, port) for name, port in BYSTANDERS.items()}

    def problems(self) -> list[str]:
        ways = (unanswered(self.stage.place(pod), addresses(pod), BYSTANDERS[name]) for name, pod in self.pods.items())
        return self.stage.node.settled() + [problem for way in ways for problem in way]


@pytest.fixture(scope="module")
def standing(nursery: Nursery, mode: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with stage.empty(nursery, tmp_path_factory.mktemp(mode), mode) as made:
        world = World(made)
        world.make()
        yield world


@pytest.fixture
def world(standing: World) -> Iterator[World]:
    """What one test broke for good must not look like another's failure."""
    yield standing
    if not standing.stage.agent.is_running() or standing.problems():
        standing.stage.agent.clear()
        standing.make()


@pytest.fixture(params=ALL, ids=lambda each: each.name.replace(" ", "-"))
def done(request: pytest.FixtureRequest, mode: str) -> Interference:
    found: Interference = request.param
    if mode not in found.modes:
        pytest.skip(f"{mode} mode has nothing of that")
    return found


def test_a_start_repairs_what_was_done_to_a_dead_agent(world: World, done: Interference) -> None:
    world.stage.agent.kill()
    done.act(world.stage, world.pods["a"])
    assert world.stage.node.violations() != []  # it does harm, and is seen
    world.stage.agent.start()
    assert world.problems() == []


@pytest.mark.long
def test_a_restart_repairs_what_was_done_to_a_living_agent(world: World, done: Interference) -> None:
    if done.only_dead:
        pytest.skip("the agent owns its tables: see the test of that")
    done.act(world.stage, world.pods["a"])  # test_any_state.py does the same in the normal run, at random
    lived = within(REPAIR_S, lambda: world.stage.node.violations() == [])
    print(f"{done.name}: {'repaired at once' if lived else 'repaired only by a restart'}")
    world.stage.agent.restart()
    assert world.problems() == []


@pytest.mark.parametrize("attempt", [each for each in ALL if each.only_dead], ids=lambda each: each.name.replace(" ", "-"))
def test_nobody_writes_the_tables_of_a_living_agent(world: World, attempt: Interference) -> None:
    if not Nft(NetlinkSocket(NETLINK_NETFILTER)).owns_tables:
        pytest.skip("needs a kernel with owned, persistent nft tables (6.9)")
    assert interference.is_refused(attempt, world.stage, world.pods["a"])
    assert world.problems() == []
