"""Surge and unavailability as Kubernetes rounds them, and one step of a rollout for each situation, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from agent.controllers import rollout
from agent.controllers.replica import new_pod, replica
from agent.errors import InvalidObject
from agent.objects.deployment import template_hash
from tests.unit.controllers.worlds import START, deployment, ready, template


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "most", "least"),
    [
        (10, "25%", "25%", 13, 8),
        (4, "25%", "25%", 5, 3),
        (3, "25%", "25%", 4, 3),
        (1, "25%", "25%", 2, 1),
        (0, "25%", "25%", 0, 0),
        (10, 1, 0, 11, 10),
        (10, 0, 1, 10, 9),
        (10, 0, 0, 10, 9),
        (3, "0%", "10%", 3, 2),
        (2, 0, 5, 2, 0),
        (2, "100%", "100%", 4, 0),
        (2, "150%", 0, 5, 2),
    ],
)
def test_limits(replicas: int, surge: int | str, unavailable: int | str, most: int, least: int) -> None:
    bounds = rollout.limits(deployment(replicas, surge=surge, unavailable=unavailable).spec)
    assert (bounds.most, bounds.least) == (most, least)


@pytest.mark.parametrize("wrong", ["many", "25", "-1%", "2.5%", ""])
def test_what_is_neither_number_nor_percentage_names_the_field(wrong: str) -> None:
    with pytest.raises(InvalidObject, match=r"spec.strategy.rollingUpdate.maxSurge: .* neither a number nor a percentage"):
        rollout.limits(deployment(3, surge=wrong).spec)


def test_recreate_allows_no_surge() -> None:
    bounds = rollout.limits(deployment(3, recreate=True).spec)
    assert (bounds.most, bounds.least) == (3, 3)


@pytest.mark.parametrize(
    ("spec", "old", "new", "ending_old", "expected"),
    [
        # pods are (all, ready); what is expected is (create, delete)
        # a fresh Deployment, scaling up, scaling down
        ({"replicas": 3}, (0, 0), (0, 0), 0, (3, 0)),
        ({"replicas": 5}, (0, 0), (3, 3), 0, (2, 0)),
        ({"replicas": 1}, (0, 0), (3, 3), 0, (0, 2)),
        ({"replicas": 0}, (0, 0), (3, 0), 0, (0, 3)),
        # replacing one by one above the number: nothing is deleted before something new is there
        ({"replicas": 3, "surge": 1, "unavailable": 0}, (3, 3), (0, 0), 0, (1, 0)),
        ({"replicas": 3, "surge": 1, "unavailable": 0}, (3, 3), (1, 0), 0, (0, 0)),
        ({"replicas": 3, "surge": 1, "unavailable": 0}, (3, 3), (1, 1), 0, (0, 1)),
        ({"replicas": 3, "surge": 1, "unavailable": 0}, (2, 2), (1, 1), 1, (1, 0)),
        # replacing below the number: first one goes
        ({"replicas": 3, "surge": 0, "unavailable": 1}, (3, 3), (0, 0), 0, (0, 1)),
        ({"replicas": 3, "surge": 0, "unavailable": 1}, (2, 2), (0, 0), 0, (1, 0)),
        ({"replicas": 3, "surge": 0, "unavailable": 1}, (2, 2), (1, 0), 0, (0, 0)),
        # old pods that never came up are not all thrown away for a template that may be no better
        ({"replicas": 10, "surge": 3, "unavailable": 2}, (10, 0), (0, 0), 0, (3, 2)),
        ({"replicas": 10, "surge": 3, "unavailable": 2}, (8, 0), (5, 0), 0, (0, 0)),
        ({"replicas": 10, "surge": 3, "unavailable": 2}, (8, 0), (5, 5), 0, (0, 5)),
        # scaled down in the middle of a rollout
        ({"replicas": 2, "surge": 1, "unavailable": 0}, (5, 5), (5, 0), 0, (0, 7)),
        # Recreate: all old go, and new come when the last one has ended
        ({"replicas": 3, "recreate": True}, (3, 3), (0, 0), 0, (0, 3)),
        ({"replicas": 3, "recreate": True}, (0, 0), (0, 0), 2, (0, 0)),
        ({"replicas": 3, "recreate": True}, (0, 0), (0, 0), 0, (3, 0)),
        # paused: the number is kept, the template is not rolled out
        ({"replicas": 3, "paused": True}, (3, 3), (0, 0), 0, (0, 0)),
        ({"replicas": 2, "paused": True}, (3, 3), (0, 0), 0, (0, 1)),
        ({"replicas": 4, "paused": True}, (3, 3), (0, 0), 0, (1, 0)),
    ],
)
def test_one_step(spec: dict[str, Any], old: tuple[int, int], new: tuple[int, int], ending_old: int, expected: tuple[int, int]) -> None:
    wanted = deployment(**spec)
    today, yesterday = template_hash(wanted.spec.template), template_hash(template("v0"))
    pods = [ready(new_pod(wanted, yesterday, f"o{n}"), is_ready=n < old[1]) for n in range(old[0])]
    pods += [ready(new_pod(wanted, today, f"n{n}"), is_ready=n < new[1]) for n in range(new[0])]
    step = rollout.step(wanted.spec, [replica(pod, today, 0, START) for pod in pods], ending_old)
    assert (step.create, len(step.victims)) == expected
    assert len({victim.replica.pod.metadata.name for victim in step.victims}) == len(step.victims)
