"""Every conformance case against the plain reading of policy, in both families."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest

from agent.objects.attachment import Attachment, PodReference
from agent.objects.decode import decode
from agent.objects.meta import Object, ObjectMeta
from agent.policy.connection import SCTP, TCP, UDP, Connection
from agent.policy.evaluate import Judge
from agent.policy.gather import world_of
from agent.policy.world import World
from tests.conformance import case as cases
from tests.conformance.case import EVERY_POD, Case, Question

FILES = sorted(Path(cases.__file__).parent.glob("cases/*.yaml"))
CASES = [pytest.param(case, id=f"{file.stem}: {case.name}") for file in FILES for case in cases.load(file)]
NUMBERS = {"tcp": TCP, "udp": UDP, "sctp": SCTP}


@cache
def addresses(family: int) -> Mapping[str, IPv4Address | IPv6Address]:
    prefix, outside = {4: ("10.1.0.", "192.0.2.7"), 6: ("fd00::", "2001:db8::7")}[family]
    return {**{place: ip_address(f"{prefix}{number}") for number, place in enumerate(EVERY_POD, 1)}, "out": ip_address(outside)}


def world(manifest: str, family: int) -> World:
    objects: list[Object] = [decoded.object for decoded in decode(manifest)]
    places = [(thing.metadata.namespace, thing.metadata.name) for thing in objects if thing.kind == "Pod"]
    attachments = [
        Attachment(
            metadata=ObjectMeta(name=f"{namespace}-{name}"),
            pod=PodReference(namespace=namespace, name=name),
            addresses=(addresses(family)[f"{namespace}/{name}"],),
        )
        for namespace, name in places
    ]
    return world_of([*objects, *attachments], node_name="here")


def connection(question: Question, family: int) -> Connection:
    places = addresses(family)
    probe = question.probe
    return Connection(places[question.source], places[question.destination], NUMBERS[probe.protocol], probe.port, 40000)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("case", CASES)
def test_the_model_agrees(case: Case, family: int) -> None:
    for number, state in enumerate(case.states(addresses(family)), 1):
        judge = Judge(world(state.manifest, family))
        assert not judge.world.broken
        wrong = [
            f"step {number}: {question} should be {'allowed' if expected else 'denied'}"
            for question, expected in state.expected.items()
            if judge.verdict(connection(question, family)).is_allowed != expected
        ]
        assert not wrong, "\n".join(wrong[:20])


def test_no_two_cases_share_a_name() -> None:
    names = [case.id for case in CASES]
    assert len(names) == len(set(names))
