"""From any state to the wanted one: random operations, kills and interference, and after each start all is well.

A run is its seed: the same steps in the same order (not the same instants). `SEEDS` run always, many more with --long.
"""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.errors import PodwrightError
from tests.chaos import interference, stage
from tests.chaos.container import Container
from tests.chaos.nursery import Nursery
from tests.chaos.stage import Stage, addresses, unanswered
from tests.runtime.network_namespace import NetworkNamespace

pytestmark = pytest.mark.kernel

SEEDS, LONG_SEEDS = (1,), tuple(range(2, 42))
STEPS = 14
KILL_WITHIN_S = 0.06
"""About as long as the slowest operation takes."""
PORTS = {f"pod-{number}": 9000 + number for number in range(3)}


@dataclass
class Model:
    """What should be there, and everything that was done to get there, for the reader of a failure."""

    stage: Stage
    random: random.Random
    containers: list[Container]
    pods: set[str] = field(default_factory=set)
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    added: set[str] = field(default_factory=set)
    story: list[str] = field(default_factory=list)

    def step(self) -> None:
        """Something is done to the node, then its user does something; whoever dies is started and asked again."""
        for _ in range(self.random.choice((0, 1, 1, 2))):
            self._interfere()
        self._operate()
        assert self.problems() == [], "\n".join(self.story)

    def problems(self) -> list[str]:
        found = self.stage.node.settled([each.key for each in self.containers if each.id in self.added])
        for name in sorted(self.pods):
            pod = self.stage.pod(name)
            found += unanswered(self.stage.place(pod), addresses(pod), PORTS[name]) if pod else [f"{name} is gone"]
        for container in self.containers:
            found += container.unanswered() if container.id in self.added else []
        return found

    def _interfere(self) -> None:
        is_alive = self.random.random() < 0.5
        if not is_alive:
            self.stage.agent.kill()
        if self.added and self.random.random() < 0.2:
            self._lose_a_container()
        elif self.pods:
            choices = [each for each in interference.in_mode(self.stage.mode) if not (is_alive and each.only_dead)]
            done, name = self.random.choice(choices), self.random.choice(sorted(self.pods))
            self.story.append(f"{'alive' if is_alive else 'dead'}: {done.name} ({name})")
            self._interfere_with(done, name)
        self.stage.agent.kill()
        self.stage.agent.start()

    def _interfere_with(self, done: interference.Interference, name: str) -> None:
        """What an earlier step destroyed cannot be destroyed again."""
        with suppress(subprocess.CalledProcessError, OSError, StopIteration):
            done.act(self.stage, self.known[name])

    def _lose_a_container(self) -> None:
        """Its runtime is told nothing, and a start gives the lease back."""
        lost = self.random.choice(sorted(self.added))
        self.story.append(f"link of {lost} deleted")
        container = next(each for each in self.containers if each.id == lost)
        subprocess.run(["ip", "link", "delete", container.host_link], check=True)
        self.added.discard(lost)

    def _operate(self) -> None:
        name, once, again = self._operation()
        killed = self.random.random() < 0.6
        self.story.append(f"{name}{', killed meanwhile' if killed else ''}")
        if killed:
            with suppress(PodwrightError), self._killer(self.random.random() * KILL_WITHIN_S):
                once()
            self.stage.agent.start()
            again()
        else:
            once()
            if self.random.random() < 0.3:
                self.stage.agent.restart()

    @contextmanager
    def _killer(self, after_s: float) -> Iterator[None]:
        def kill() -> None:
            time.sleep(after_s)
            self.stage.agent.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            yield
        finally:
            killer.join()

    def _operation(self) -> tuple[str, Callable[[], None], Callable[[], None]]:
        """Its name, what its user does, and what the user does after no answer."""
        if self.random.random() < 0.6:
            name = self.random.choice(sorted(PORTS))
            return self._delete_pod(name) if name in self.pods else self._create_pod(name)
        container = self.random.choice(self.containers)
        return self._del(container) if container.id in self.added else self._add(container)

    def _create_pod(self, name: str) -> tuple[str, Callable[[], None], Callable[[], None]]:
        def create() -> None:
            self.known[name] = self.stage.make_pod(name, PORTS[name])

        self.pods.add(name)
        return f"create {name}", create, create

    def _delete_pod(self, name: str) -> tuple[str, Callable[[], None], Callable[[], None]]:
        def delete() -> None:
            self.stage.delete_pod(name)

        self.pods.discard(name)
        return f"delete {name}", delete, delete

    def _add(self, container: Container) -> tuple[str, Callable[[], None], Callable[[], None]]:
        def again() -> None:
            container.delete(self.stage)
            container.add(self.stage)

        self.added.add(container.id)
        return f"ADD {container.id}", lambda: container.add(self.stage), again

    def _del(self, container: Container) -> tuple[str, Callable[[], None], Callable[[], None]]:
        def delete() -> None:
            container.delete(self.stage)

        self.added.discard(container.id)
        return f"DEL {container.id}", delete, delete


@pytest.fixture
def world(nursery: Nursery, mode: str, tmp_path: Path) -> Iterator[tuple[Stage, list[Container]]]:
    with ExitStack() as stack:
        made = stack.enter_context(stage.empty(nursery, tmp_path, mode))
        made.agent.start()
        netns = [stack.enter_context(NetworkNamespace.made(tmp_path / f"netns-{number}")) for number in range(2)]
        yield made, [Container(each, f"container-{number}", 9100 + number) for number, each in enumerate(netns)]


@pytest.mark.parametrize("seed", [*SEEDS, *(pytest.param(seed, marks=pytest.mark.long) for seed in LONG_SEEDS)])
def test_every_start_converges(world: tuple[Stage, list[Container]], seed: int) -> None:
    model = Model(world[0], random.Random(seed), world[1])
    for _ in range(STEPS):
        model.step()
