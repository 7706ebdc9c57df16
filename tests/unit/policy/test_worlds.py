"""Random worlds, two readings: what is compiled passes what the plain reading allows, and nothing else.

PODWRIGHT_WORLDS=N asks for more of them; `--long` for 2,000. A world that is read in two ways is printed small.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from agent.policy.compile import Flow, Program, compile_
from agent.policy.connection import Connection
from agent.policy.convert import policy_set
from agent.policy.endpoints import Interner
from agent.policy.evaluate import Judge
from agent.policy.world import World
from tests.conformance.coverage import Coverage
from tests.conformance.worlds import NODE, Document, Maker, manifest, questions, shrunk, world

FEW, MANY = int(os.environ.get("PODWRIGHT_WORLDS", "50")), 2000


def compiled(found: World) -> Program:
    interner = Interner()
    return compile_(policy_set(found), [interner.endpoint(found, endpoint) for endpoint in found.endpoints])


def flow(asked: Connection) -> Flow:
    port = asked.destination_port if asked.icmp_type is None else asked.icmp_type * 256 + (asked.icmp_code or 0)
    return Flow(asked.source, asked.destination, asked.protocol, asked.source_port, port)


def difference(documents: Sequence[Document]) -> str:
    """The first question that the two answer differently, "" when there is none."""
    found = world(documents)
    judge, program = Judge(found), compiled(found)
    for asked in questions(found):
        plain, passed = judge.verdict(asked).is_allowed_here, program.allows(flow(asked))
        if plain != passed:
            return f"{asked}: the plain reading {'allows' if plain else 'denies'} it"
    return ""


def compare(seeds: range) -> Coverage:
    coverage = Coverage()
    for seed in seeds:
        documents = Maker(seed).documents()
        coverage.add(documents)
        if difference(documents):
            small = shrunk(documents, lambda candidate: bool(difference(candidate)))
            pytest.fail(f"seed {seed}: {difference(small)} in\n{manifest(small)}")
    return coverage


def test_random_worlds_are_read_alike() -> None:
    print(compare(range(FEW)))


@pytest.mark.long
def test_many_random_worlds_are_read_alike() -> None:
    coverage = compare(range(FEW, FEW + MANY))
    print(coverage)
    assert coverage.missing() == []


def test_what_the_generator_writes_is_taken() -> None:
    for seed in range(20):
        assert not world(Maker(seed).documents()).broken


def test_a_difference_shrinks_to_what_it_needs() -> None:
    def is_wrong(documents: Sequence[Document]) -> bool:
        """As if a reader forgot the range of ports."""
        return any("endPort" in port for d in documents for rule in d.get("spec", {}).get("ingress", ()) for port in rule.get("ports", ()))

    seed = next(seed for seed in range(500) if is_wrong(Maker(seed).documents()))
    (small,) = shrunk(Maker(seed).documents(), lambda documents: is_wrong(documents) and bool(world(documents)))
    (rule,) = small["spec"]["ingress"]
    assert rule == {"ports": [{"port": 80, "endPort": 90}]}


def test_the_node_is_nobody_in_these_worlds() -> None:
    assert all(NODE not in (str(asked.source), str(asked.destination)) for asked in questions(world(Maker(1).documents())))
