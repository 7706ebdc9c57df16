"""A restart as users make it, under a hundred pods: how long it takes, and that nobody notices."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from tests.chaos.invariants import Node, watched
from tests.chaos.stage import PORT, addresses
from tests.chaos.traffic import Traffic, Way
from tests.prober import NODE, Servers
from tests.running import RunningAgent

pytestmark = pytest.mark.kernel

PODS = 100
LIMIT_S = 1.0
"""From exec to serving, without Python's imports."""
DEPLOYMENT = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: many}}
spec:
  replicas: {PODS}
  selector: {{matchLabels: {{app: many}}}}
  template:
    metadata: {{labels: {{app: many}}}}
    spec: {{containers: [{{name: web, image: 'example/web:1'}}]}}
"""


class Took(NamedTuple):
    """Seconds."""

    imports: float
    rest: float


class TimedAgent(RunningAgent):
    """Says when its imports are done, by the clock that all processes share."""

    PROGRAM = (
        "import sys, time, agent.daemon, agent.cli.main; print('imported', time.monotonic(), flush=True); agent.cli.main.main(['agent'])"
    )
    COMMAND = (sys.executable, "-c", PROGRAM)

    def imported_at(self) -> float:
        return float([line for line in self.tail(1000).splitlines() if line.startswith("imported ")][-1].split()[1])


@pytest.fixture(scope="module")
def agent(mode: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimedAgent]:
    running = TimedAgent(tmp_path_factory.mktemp(mode), network__mode=mode)
    running.start()
    yield running
    running.clear()


@pytest.fixture(scope="module")
def node(agent: RunningAgent) -> Iterator[Node]:
    with watched(agent.settings) as found:
        yield found


@pytest.fixture(scope="module")
def traffic(agent: RunningAgent) -> Iterator[Traffic]:
    """From the node to one pod, and from that to another."""
    agent.apply(DEPLOYMENT)
    one, other = agent.wait_for_pods(PODS)[:: PODS - 1]
    with ExitStack() as stack:
        servers = stack.enter_context(Servers())
        for pod in (one, other):
            servers.listen(agent.namespace_of(pod), pod["metadata"]["name"], PORT)
        ways = [Way(f"node to one ({address})", NODE, address, PORT) for address in addresses(one)]
        ways += [Way(f"one to other ({address})", agent.namespace_of(one), address, PORT) for address in addresses(other)]
        yield stack.enter_context(Traffic(ways))


def timed_restart(agent: TimedAgent, end: str) -> Took:
    getattr(agent, end)()
    started = time.monotonic()
    agent.start()
    ready = time.monotonic()
    return Took(imports=agent.imported_at() - started, rest=ready - agent.imported_at())


def test_nothing_is_lost_and_the_agent_is_back_soon(agent: TimedAgent, node: Node, traffic: Traffic) -> None:
    traffic.lost()
    took = [timed_restart(agent, end) for end in ("stop", "kill", "kill")]
    assert node.settled() == []
    assert traffic.lost() == []
    assert "repairing" not in agent.log.read_text(), "a start that changes what living pods stand on will lose a packet one day"
    best = min(took, key=lambda each: each.rest)  # the one that other work on the machine disturbed least
    print(f"restart with {PODS} pods: {best.imports:.2f} s of imports, then {best.rest:.2f} s until it serves")
    assert best.rest < LIMIT_S
