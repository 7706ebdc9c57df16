"""Policies converted one by one, as they come, change and go, are those that are converted all at once."""

from __future__ import annotations

import json

import pytest

from agent.objects.decode import decode
from agent.objects.meta import Key, Object
from agent.policy.convert import policy_set
from agent.policy.gather import world_of
from agent.policy.standing import Standing
from tests.unit.policy_compile.objects import Document, Documents

STEPS = 30


@pytest.mark.parametrize("seed", range(12))
def test_in_any_order(seed: int) -> None:
    make = Documents(seed)
    standing, there = Standing("here", ()), dict[Key, Object]()
    for _ in range(STEPS):
        changes: dict[Key, Object | None] = {}
        for _ in range(make.random.randint(1, 3)):
            if there and make.chance(0.3):
                changes[make.pick(*sorted(there))] = None
            else:
                thing = read(a_document(make))
                changes[thing.key] = thing
        there = {key: thing for key, thing in {**there, **changes}.items() if thing is not None}
        found = standing.change(changes)
        world = world_of(there.values(), node_name="here")
        assert found == policy_set(world)
        assert standing.broken == world.broken


def a_document(make: Documents) -> Document:
    number = make.random.randint(0, 3)
    if make.chance(0.15):
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": make.pick("x", "y"), "labels": {"ns": make.pick("x", "y")}}}
    if make.chance(0.2):
        return make.nets(number)
    if make.chance(0.2):
        return {**make.meta("Tier", "first"), "spec": {"order": make.pick(1, 2_000_000), "defaultAction": make.pick("Deny", "Pass")}}
    return make.policy(number)


def read(document: Document) -> Object:
    return decode(json.dumps(document))[0].object
