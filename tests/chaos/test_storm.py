"""Many runtimes and users at once, and the agent killed at a random moment of it, again and again."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial

import pytest

from agent.errors import PodwrightError
from tests.chaos import stage
from tests.chaos.container import Container
from tests.chaos.nursery import Nursery
from tests.chaos.stage import Stage
from tests.chaos.traffic import Traffic
from tests.runtime.network_namespace import NetworkNamespace

pytestmark = pytest.mark.kernel

ROUNDS, LONG_ROUNDS = 3, 200
CALLERS = 4
KILL_WITHIN_S = 0.15
World = tuple[Stage, Traffic, list[Container]]


@pytest.fixture
def world(nursery: Nursery, sampled_mode: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp(sampled_mode)
    with ExitStack() as stack:
        made, traffic = stack.enter_context(stage.with_bystanders(nursery, directory, sampled_mode))
        netns = [stack.enter_context(NetworkNamespace.made(directory / f"netns-{number}")) for number in range(CALLERS)]
        yield made, traffic, [Container(each, f"container-{number}", 9100 + number) for number, each in enumerate(netns)]


def test_kills_among_concurrent_callers(world: World, is_long: bool) -> None:
    killed, traffic, containers = world
    chance = random.Random(7)
    keys = [each.key for each in containers]
    for number in range(LONG_ROUNDS if is_long else ROUNDS):
        one_round(killed, containers, chance.random() * KILL_WITHIN_S)
        assert killed.node.settled(optional=keys) == [], f"round {number}, after the restart"
        for container in containers:
            container.delete(killed)
        for pod in range(CALLERS):
            killed.delete_pod(f"pod-{pod}")
        assert killed.node.settled() == [], f"round {number}, after all was deleted"
        assert traffic.lost() == [], f"round {number}"


def one_round(killed: Stage, containers: list[Container], kill_after_s: float) -> None:
    """Everybody attaches and detaches until the agent dies."""
    over = threading.Event()
    with ThreadPoolExecutor(2 * CALLERS) as callers:
        actions = [partial(attach_and_detach, killed, each) for each in containers]
        actions += [partial(create_and_delete, killed, number) for number in range(CALLERS)]
        calls = [callers.submit(until, over, action) for action in actions]
        time.sleep(kill_after_s)
        killed.agent.kill()
        over.set()
    assert [call.exception() for call in calls] == [None] * len(calls)
    killed.agent.start()


def until(over: threading.Event, action: Callable[[], None]) -> None:
    while not over.is_set():
        with suppress(PodwrightError):  # the agent is dead
            action()


def attach_and_detach(killed: Stage, container: Container) -> None:
    container.delete(killed)
    container.add(killed)


def create_and_delete(killed: Stage, number: int) -> None:
    killed.agent.apply(stage.manifest(f"pod-{number}", 9000 + number))
    killed.delete_pod(f"pod-{number}")
