"""The kill-point harness: count the points of an operation, then kill the agent at each (or a spread of them).

While it is dead nobody may speak under another's address. Then a fresh agent must bring the node to rest by itself, with
the outcome wholly there or wholly not; the operation is repeated as its user would, must succeed, and is taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from agent.errors import PodwrightError
from tests.chaos.scenarios import Scenario
from tests.chaos.stage import Stage
from tests.chaos.traffic import Traffic

SAMPLE = 6
DEATH_S = 0.5
"""For what goes on behind the answer (forgetting connections)."""


def spread(total: int, count: int | None) -> list[int]:
    """First, last and evenly between them, the same ones on every run; all if `count` is None."""
    if count is None or total <= count:
        return list(range(1, total + 1))
    return sorted({1 + round(step * (total - 1) / (count - 1)) for step in range(count)})


@dataclass
class Findings:
    """What was wrong after which kill; `died`: how many kills happened where they were meant to."""

    wrong: list[str] = field(default_factory=list)
    kills: int = 0
    died: int = 0

    def add(self, where: str, when: str, problems: list[str]) -> None:
        self.wrong += [f"{where}, {when}: {problem}" for problem in problems]

    def saw_kill(self, died_there: bool) -> None:
        self.kills += 1
        self.died += died_there

    def judge(self) -> None:
        """Points change places between threads, so a few numbers may come to nothing; most must hit."""
        assert self.wrong == [], str(self)
        assert self.died >= 0.8 * self.kills > 0, str(self)

    def __str__(self) -> str:
        return f"{self.died} of {self.kills} kills, {len(self.wrong)} violations\n" + "\n".join(self.wrong)


def count_points(stage: Stage, scenario: Scenario) -> int:
    """How many points the operation passes when nobody kills it."""
    stage.start_armed(0)
    scenario.prepare(stage)
    with stage.gate_open():
        scenario.act(stage)
        stage.until_dead(DEATH_S)
    scenario.retry(stage)
    scenario.undo(stage)
    stage.agent.stop()
    return len(stage.passed())


def kill_at_each(stage: Stage, scenario: Scenario, traffic: Traffic, numbers: list[int], impostors: Callable[[], list[str]]) -> Findings:
    findings = Findings()
    for number in numbers:
        where = _killed_at(stage, scenario, number, findings)
        findings.add(where, "while the agent was dead", impostors())
        for when, problems in _recovery(stage, scenario):
            findings.add(where, when, problems)
        findings.add(where, "meanwhile", traffic.lost())
        stage.agent.kill()
    return findings


def _killed_at(stage: Stage, scenario: Scenario, number: int, findings: Findings) -> str:
    """Start the operation and let it die; the name of the point where it did."""
    stage.start_armed(number)
    scenario.prepare(stage)
    with stage.gate_open():
        with suppress(PodwrightError):
            scenario.act(stage)
        findings.saw_kill(stage.until_dead(DEATH_S))
    stage.agent.kill()
    return stage.point(number)


def _recovery(stage: Stage, scenario: Scenario) -> Iterator[tuple[str, list[str]]]:
    stage.agent.start()
    yield "after the restart", stage.node.settled(optional=scenario.optional)
    scenario.retry(stage)
    yield "after the retry", stage.node.settled(scenario.containers) + scenario.problems(stage)
    scenario.undo(stage)
    yield "at the end", stage.node.settled()
