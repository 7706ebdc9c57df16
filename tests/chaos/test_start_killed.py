"""The start itself is killed: with work to do and traffic flowing, and on a node where nothing is yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from agent.errors import PodwrightError
from tests.chaos import killing, stage
from tests.chaos.killing import Findings
from tests.chaos.nursery import Nursery
from tests.chaos.scenarios import VICTIM, VICTIM_PORT
from tests.chaos.stage import Stage
from tests.chaos.traffic import Traffic

pytestmark = pytest.mark.kernel


@pytest.fixture
def world(nursery: Nursery, mode: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Traffic]]:
    with stage.with_bystanders(nursery, tmp_path_factory.mktemp(mode), mode) as made:
        yield made


@pytest.fixture
def virgin(nursery: Nursery, mode: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage.empty(nursery, tmp_path_factory.mktemp(mode), mode) as made:
        yield made


def test_start_after_a_crash_is_killed(world: tuple[Stage, Traffic], is_long: bool) -> None:
    """A pod is half built whenever the start begins."""
    killed, traffic = world
    killed.agent.stop()
    half = half_built(killed, 0) // 2
    total = points_of_start(killed)
    findings = Findings()
    for number in killing.spread(total, None if is_long else killing.SAMPLE):
        killed.agent.kill()
        half_built(killed, half)
        killed.start_armed(number, wait=False, gated=False)
        findings.saw_kill(killed.until_dead(2))
        killed.agent.kill()
        killed.agent.start()
        where = killed.point(number)
        findings.add(where, "after the restart", killed.node.settled())
        findings.add(where, "meanwhile", traffic.lost())
        killed.delete_pod(VICTIM)
        findings.add(where, "at the end", killed.node.settled())
    findings.judge()


def half_built(killed: Stage, kill_at: int) -> int:
    """Kill the agent while it creates a pod (0: let it), and return how many points it passed."""
    killed.start_armed(kill_at)
    with killed.gate_open(), suppress(PodwrightError):
        killed.make_pod(VICTIM, VICTIM_PORT)
    killed.agent.kill()
    return len(killed.passed())


def points_of_start(killed: Stage) -> int:
    killed.start_armed(0, gated=False)
    assert killed.node.settled() == []
    killed.delete_pod(VICTIM)
    return len(killed.passed())


def test_first_start_is_killed(virgin: Stage, is_long: bool) -> None:
    """Half a start is a whole start after another, and `clear` takes half a start away."""
    virgin.agent.start()  # which forgets what traffic of other tests left behind, once
    virgin.agent.clear()
    virgin.start_armed(0, gated=False)
    total = len(virgin.passed())
    virgin.agent.clear()
    findings = Findings()
    for number in killing.spread(total, None if is_long else killing.SAMPLE * 2 // 3):
        virgin.start_armed(number, wait=False, gated=False)
        findings.saw_kill(virgin.until_dead(2))
        virgin.agent.clear()
        findings.add(virgin.point(number), "after it was cleared", virgin.node.remains())
    for number in killing.spread(total, None if is_long else killing.SAMPLE // 3):
        virgin.start_armed(number, wait=False, gated=False)
        findings.saw_kill(virgin.until_dead(2))
        virgin.agent.kill()
        virgin.agent.start()
        findings.add(virgin.point(number), "after the next start", virgin.node.settled())
        virgin.agent.clear()
    findings.judge()
