"""However a world came to be, its program is the one that is compiled from nothing; and what a change says is what changed."""

from __future__ import annotations

import copy
from random import Random

import pytest

from agent.policy.compile import Program, compile_
from agent.policy.engine import Delta, Engine
from agent.policy.rules import Endpoint
from tests.unit.policy_compile.worlds import Maker, in_tiers

STEPS, POLICIES, ENDPOINTS = 40, 4, 12


@pytest.mark.parametrize("seed", range(12))
def test_steps_end_in_what_is_compiled_from_nothing(seed: int) -> None:
    make, engine, known = Maker(Random(seed)), Engine(), Program()
    policies = [make.policy(f"n{number}") for number in range(POLICIES)]
    there: dict[str, Endpoint] = {}
    for _ in range(STEPS):
        step(make, engine, policies, there)
        if make.chance(0.3):
            known = after(known, engine.take())
            assert known == engine.program
    engine.set_policies(in_tiers(policies))
    known = after(known, engine.take())
    assert known == engine.program == compile_(in_tiers(policies), there.values())


def step(make: Maker, engine: Engine, policies: list, there: dict[str, Endpoint]) -> None:  # type: ignore[type-arg]
    what = make.random.random()
    if what < 0.6:
        endpoint = make.endpoint(make.random.randint(1, ENDPOINTS))
        there[endpoint.name] = endpoint
        engine.set_endpoint(endpoint)
    elif what < 0.75 and there:
        name = make.random.choice(sorted(there))
        del there[name]
        engine.remove_endpoint(name)
    else:
        number = make.random.randrange(POLICIES)
        policies[number] = make.policy(f"n{number}")
        engine.set_policies(in_tiers(policies))


def after(program: Program, delta: Delta) -> Program:
    """What a reader who knows only the changes believes."""
    rulings = {name: ruling for name, ruling in program.rulings.items() if name not in {dead.stack.name for dead in delta.dead}}
    rulings |= {ruling.stack.name: copy.deepcopy(ruling) for ruling in delta.born}
    for ruling, address, old, new in delta.peers:
        held = rulings[ruling.stack.name].peers
        assert held.get(address) == old
        if new is None:
            del held[address]
        else:
            held[address] = new
    subjects = dict(program.subjects)
    for subject, before, now in delta.subjects:
        assert subjects.get(subject) == (None if before is None else before.stack.name)
        if now is None:
            del subjects[subject]
        else:
            subjects[subject] = now.stack.name
    return Program(subjects, rulings)


def test_two_claims_on_one_address_are_settled_the_same_in_any_order() -> None:
    make = Maker(Random(7))
    ours, theirs = make.endpoint(1), make.endpoint(2)
    both = [ours.__class__(each.name, each.identity, ours.addresses, (), each is ours) for each in (ours, theirs)]
    found = []
    for order in (both, both[::-1]):
        engine = Engine()
        for each in order:
            engine.set_endpoint(each)
        found.append({name: each.addresses for name, each in engine.endpoints.items()})
    assert found[0] == found[1] == {"p1": ours.addresses, "p2": ()}
