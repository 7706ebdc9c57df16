"""Two readings of one world: what is compiled passes what the plain reading allows, and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import product

import pytest

from agent.objects.attachment import Attachment, PodReference
from agent.objects.decode import decode
from agent.objects.meta import Object, ObjectMeta
from agent.policy.compile import Flow, Program, compile_
from agent.policy.connection import ICMP, ICMPV6, SCTP, TCP, UDP, Connection
from agent.policy.convert import policy_set
from agent.policy.endpoints import Interner
from agent.policy.evaluate import Judge
from agent.policy.gather import world_of
from agent.policy.world import World
from tests.conformance.case import Case
from tests.unit.policy.test_conformance import CASES, addresses, connection, world
from tests.unit.policy_compile.objects import Document, Documents

WORLDS = int(os.environ.get("PODWRIGHT_WORLDS", "40"))
STRANGERS: Mapping[int, tuple[str, ...]] = {4: ("192.0.2.7", "10.1.0.200"), 6: ("2001:db8::7",)}


def compiled(found: World) -> Program:
    interner = Interner()
    return compile_(policy_set(found), [interner.endpoint(found, endpoint) for endpoint in found.endpoints])


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("case", CASES)
def test_conformance_cases_compile_to_what_they_expect(case: Case, family: int) -> None:
    for number, state in enumerate(case.states(addresses(family)), 1):
        program = compiled(world(state.manifest, family))
        wrong = [
            f"step {number}: {q} should be {'allowed' if expected else 'denied'}"
            for q, expected in state.expected.items()
            if program.allows(flow(connection(q, family))) != expected
        ]
        assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("seed", range(WORLDS))
def test_random_worlds_are_read_alike(seed: int) -> None:
    documents = Documents(seed).world()
    found = of_documents(documents)
    assert not found.broken
    judge, program = Judge(found), compiled(found)
    wrong = [asked for asked in questions(found) if judge.verdict(asked).is_allowed_here != program.allows(flow(asked))]
    assert not wrong, f"{wrong[0]} in\n{json.dumps(documents)}"


def of_documents(documents: list[Document]) -> World:
    objects: list[Object] = [each.object for each in decode(json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))]
    pods = [thing for thing in objects if thing.kind == "Pod"]
    attachments = [
        Attachment(
            metadata=ObjectMeta(name=str(number)),
            pod=PodReference(namespace=pod.metadata.namespace, name=pod.metadata.name),
            addresses=(ip_address(f"10.1.0.{number}"), ip_address(f"fd00::{number}")),
        )
        for number, pod in enumerate(pods, 1)
    ]
    return world_of([*objects, *attachments], node_name="here")


def questions(found: World) -> list[Connection]:
    asked = []
    for family in (4, 6):
        ours: list[IPv4Address | IPv6Address] = [a for e in found.endpoints for a in e.addresses if a.version == family]
        everyone = [*ours, *map(ip_address, STRANGERS[family])]
        icmp, echo = {4: (ICMP, 8), 6: (ICMPV6, 128)}[family]
        for source, destination in product(everyone, everyone):
            asked += [Connection(source, destination, protocol, port, 40000) for protocol in (TCP, UDP, SCTP) for port in (80, 81, 95)]
            asked += [Connection(source, destination, icmp, icmp_type=kind, icmp_code=0) for kind in (echo, 13)]
            asked.append(Connection(source, destination, 47))
    return [each for each in asked if each.source != each.destination]


def flow(asked: Connection) -> Flow:
    port = asked.destination_port if asked.icmp_type is None else asked.icmp_type * 256 + (asked.icmp_code or 0)
    return Flow(asked.source, asked.destination, asked.protocol, asked.source_port, port)
