"""Questions about policy: the model's verdict between two places, among many pods, and what a manifest would change.

The answers come from the plain reading (policy/evaluate) of what is stored; nothing here reads or writes the kernel.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from agent.api.call import Answer, Call
from agent.api.wire import (
    PolicyCell,
    PolicyChange,
    PolicyChangeList,
    PolicyMatrix,
    PolicyPlace,
    PolicyPods,
    PolicySide,
    PolicyVerdict,
    PolicyVerdictList,
)
from agent.errors import InvalidObject, NotFound
from agent.objects.calico.rule import protocol_number
from agent.objects.decode import decode
from agent.objects.kinds import kind_of_word
from agent.objects.meta import IPAddress, Key, Object
from agent.objects.namespace import DEFAULT_NAMESPACE
from agent.objects.network_policy import PolicyType
from agent.policy import explain as words
from agent.policy import matrix as matrices
from agent.policy.connection import ICMP, ICMPV6, SCTP, TCP, UDP, Connection, Decision
from agent.policy.evaluate import Judge
from agent.policy.gather import KINDS, world_of
from agent.policy.matrix import Cell, Port
from agent.policy.world import Endpoint, World

_WITH_PORTS = (TCP, UDP, SCTP)
_ECHO_REQUEST = {ICMP: 8, ICMPV6: 128}
_SOURCE_PORT = 49152
_MAX_PODS = 500
"""Twice as many take four times as long: 500 pods are a quarter of a million verdicts."""


def explain(call: Call) -> Answer:
    """The verdict for a connection between two places, family by family."""
    world = _world(call)
    judge = Judge(world)
    source, destination = (_place(call, world, name) for name in ("from", "to"))
    port = _port(call) or matrices.DEFAULT_PORT
    pairs = [(a, b) for a in source for b in destination if a.version == b.version]
    if not pairs:
        raise InvalidObject("the two ends have no address family in common")
    return Answer(PolicyVerdictList(items=tuple(_verdict(judge, a, b, port) for a, b in pairs)))


def matrix(call: Call) -> Answer:
    """Who may reach whom among the pods of a namespace, or of all."""
    world = _world(call)
    found = matrices.cells(world, _pods(call, world), _port(call))
    return Answer(PolicyMatrix(items=tuple(_cell(cell) for cell in found)))


def changes(call: Call) -> Answer:
    """What the manifest in the body would open and close among the pods of a namespace, or of all, if it were applied."""
    before = _objects(call)
    namespace = call.query.get("namespace") or DEFAULT_NAMESPACE
    wanted = [found.object for found in decode(call.text, source=call.query.get("source", "request body"), default_namespace=namespace)]
    old = world_of(before, node_name=call.backend.node_name)
    new = world_of({thing.key: thing for thing in (*before, *wanted)}.values(), node_name=call.backend.node_name)
    pods, port = _pods(call, old), _port(call)
    there = {str(endpoint): endpoint for endpoint in new.endpoints}
    after = matrices.cells(new, [there[str(pod)] for pod in pods if str(pod) in there], port)
    found = matrices.changes(tuple(matrices.cells(old, pods, port)), tuple(after))
    return Answer(
        PolicyChangeList(
            items=tuple(
                PolicyChange(source=str(c.source), destination=str(c.destination), port=_port_text(c.port), is_opened=c.is_opened)
                for c in found
            )
        )
    )


def pods(call: Call) -> Answer:
    """The pods that a policy applies to, by direction."""
    word, _, name = call.query.get("policy", "").partition("/")
    info = kind_of_word(word)
    key = Key(info.kind, (call.query.get("namespace") or DEFAULT_NAMESPACE) if info.namespaced else "", name)
    world = _world(call)
    judge = Judge(world)
    if call.backend.store.find(key) is None:
        raise NotFound(f"{key} does not exist")
    ingress, egress = (tuple(sorted(map(str, judge.subjects(key, direction)))) for direction in PolicyType)
    return Answer(PolicyPods(ingress=ingress, egress=egress, reason=world.broken.get(key, "")))


def _objects(call: Call) -> list[Object]:
    return [thing for kind in KINDS for thing in call.backend.store.list(kind)[0]]


def _world(call: Call) -> World:
    return world_of(_objects(call), node_name=call.backend.node_name)


def _place(call: Call, world: World, name: str) -> Sequence[IPAddress]:
    """The addresses of what the caller names. Raises InvalidObject, NotFound."""
    text = call.query.get(name, "")
    if not text:
        raise InvalidObject(f"{name} is missing: name a pod or an address")
    try:
        return (ipaddress.ip_address(text),)
    except ValueError:
        pass
    namespace, _, pod = text.rpartition("/")
    namespace = namespace or call.query.get("namespace") or DEFAULT_NAMESPACE
    for endpoint in world.endpoints:
        if (endpoint.namespace, endpoint.name) == (namespace, pod):
            return endpoint.addresses
    if call.backend.store.find(Key("Pod", namespace, pod)) is None:
        raise NotFound(f"pod {namespace}/{pod} does not exist", hint="name a pod, NAMESPACE/POD, or an address")
    raise InvalidObject(f"pod {namespace}/{pod} has no address of its own: it is new, finished, or on the host's network")


def _port(call: Call) -> Port | None:
    """None when the caller names neither protocol nor port. Raises InvalidObject."""
    protocol, port = call.query.get("protocol", ""), call.query.get("port", "")
    if not protocol and not port:
        return None
    try:
        number = protocol_number(protocol or "tcp")
    except ValueError as error:
        raise InvalidObject(f"protocol: {error}") from None
    if number not in _WITH_PORTS:
        return Port(number, 0)
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= 65535):
        raise InvalidObject(f'port: "{port}" is not a port, 1 to 65535' if port else f"port: {protocol} needs one")
    return Port(number, int(port))


def _pods(call: Call, world: World) -> Sequence[Endpoint]:
    namespace = call.query.get("namespace", "")
    found = sorted((e for e in world.endpoints if not namespace or e.namespace == namespace), key=str)
    if len(found) > _MAX_PODS:
        raise InvalidObject(f"{len(found)} pods are too many for a matrix: at most {_MAX_PODS}", hint="name a namespace by -n")
    return found


def _verdict(judge: Judge, source: IPAddress, destination: IPAddress, port: Port) -> PolicyVerdict:
    has_ports, echo = port.protocol in _WITH_PORTS, _ECHO_REQUEST.get(port.protocol)
    connection = Connection(
        source,
        destination,
        port.protocol,
        port.number,
        _SOURCE_PORT if has_ports else 0,
        icmp_type=echo,
        icmp_code=None if echo is None else 0,
    )
    verdict, world = judge.verdict(connection), judge.world
    return PolicyVerdict(
        source=_named_place(world, source),
        destination=_named_place(world, destination),
        protocol=words.protocol_name(port.protocol),
        port=port.number,
        allowed=verdict.is_allowed,
        egress=_side(verdict.egress, connection, world),
        ingress=_side(verdict.ingress, connection, world),
    )


def _named_place(world: World, address: IPAddress) -> PolicyPlace:
    pod = next((str(endpoint) for endpoint in world.endpoints if address in endpoint.addresses), "")
    return PolicyPlace(address=str(address), pod=pod, node=address in world.node_addresses)


def _side(decision: Decision | None, connection: Connection, world: World) -> PolicySide | None:
    if decision is None:
        return None
    by = decision.decided_by
    return PolicySide(
        pod=str(decision.endpoint),
        allowed=decision.is_allowed,
        cause=decision.cause.value,
        tier=decision.tier,
        policies=tuple(words.named(key) for key in ((by.policy,) if by is not None else decision.policies)),
        rule=by.rule if by is not None else None,
        logged=tuple(words.path(reference, decision.direction) for reference in decision.logged),
        here=decision.endpoint.is_local,
        sentence=words.sentence(decision, world),
        cure=words.cure(decision, connection, world),
    )


def _cell(cell: Cell) -> PolicyCell:
    return PolicyCell(
        source=str(cell.source), destination=str(cell.destination), asked=_port_texts(cell.asked), allowed=_port_texts(cell.allowed)
    )


def _port_texts(ports: Iterable[Port]) -> tuple[str, ...]:
    return tuple(_port_text(port) for port in ports)


def _port_text(port: Port) -> str:
    name = words.protocol_name(port.protocol).lower()
    return f"{name}/{port.number}" if port.number else name
