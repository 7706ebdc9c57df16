"""Policies of every kind in one form: tiers of policies, policies of ordered rules, each seen from one end. Pure.

A rule is written for the end it protects, the subject: `peer` is the other end. What a rule demands of its subject
(Calico lets an ingress rule name a destination) is `own`. Protocols are numbers, ICMP types are destination ports
(traffic.py). Every selector is written in one language (Calico's); convert.py translates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from agent.objects.calico_selector import Selector
from agent.objects.meta import IPAddress, IPNetwork
from agent.policy.traffic import EVERY, Action, Spans


class Direction(StrEnum):
    """Seen from the subject: `FROM` is what it sends (egress), `TO` what is sent to it (ingress)."""

    FROM = "from"
    TO = "to"


@dataclass(frozen=True, eq=False)
class Identity:
    """All that selectors can see of an endpoint, as one mapping: its own labels, and those of its namespace and service
    account under prefixes. Interned (endpoints.py): equal ones are the same object."""

    labels: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return "{" + ", ".join(f"{key}={value}" for key, value in sorted(self.labels.items())) + "}"


class NamedPort(NamedTuple):
    name: str
    protocol: int
    port: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Whom policies know by labels: a pod of this node or another. `name` is unique; only local ones are subjects."""

    name: str
    identity: Identity
    addresses: tuple[IPAddress, ...]
    ports: tuple[NamedPort, ...] = ()
    is_local: bool = False


@dataclass(frozen=True, slots=True)
class Peer:
    """Everything that is set must match. `nets` None is any address, and () is none.

    A selector picks endpoints, and the network sets whose nets are in `selected` (`not_selected` for the negated one).
    """

    selector: Selector | None = None
    not_selector: Selector | None = None
    nets: tuple[IPNetwork, ...] | None = None
    not_nets: tuple[IPNetwork, ...] = ()
    selected: tuple[IPNetwork, ...] = ()
    not_selected: tuple[IPNetwork, ...] = ()

    def __str__(self) -> str:
        words = []
        if self.selector is not None:
            words.append(f"{self.selector}{_listed(self.selected, ' or ')}")
        if self.not_selector is not None:
            words.append(f"!({self.not_selector}{_listed(self.not_selected, ' or ')})")
        if self.nets is not None:
            words.append(_listed(self.nets) or "{}")
        if self.not_nets:
            words.append(_listed(self.not_nets, "!"))
        return " ".join(words) or "any"


def _listed(nets: tuple[IPNetwork, ...], before: str = "") -> str:
    return f"{before}{{{', '.join(map(str, nets))}}}" if nets else ""


ANY = Peer()


class Ports(NamedTuple):
    """Numbers, and names that mean something only together with a pod."""

    numbers: Spans = EVERY
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ",".join((*map(str, self.numbers), *self.names))


@dataclass(frozen=True, slots=True)
class Rule:
    """`ports` are the destination's, `source_ports` the source's, whichever of them the subject is."""

    action: Action
    peer: Peer = ANY
    own: Peer = ANY
    protocol: int | None = None
    not_protocol: int | None = None
    ports: Ports = Ports()
    not_ports: Ports | None = None
    source_ports: Ports = Ports()
    not_source_ports: Ports | None = None
    family: int | None = None
    prefix: str = ""

    def __str__(self) -> str:
        words = [self.action.value, str(self.peer)]
        for name, value, default in (
            ("own", self.own, ANY),
            ("protocol", self.protocol, None),
            ("!protocol", self.not_protocol, None),
            ("ports", self.ports, Ports()),
            ("!ports", self.not_ports, None),
            ("source-ports", self.source_ports, Ports()),
            ("!source-ports", self.not_source_ports, None),
            ("family", self.family, None),
            ("prefix", self.prefix, ""),
        ):
            if value != default:
                words.append(f"{name} {value}")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Policy:
    """Judges the endpoints that `applies_to` matches, in the directions whose rules are not None. `name` is for people."""

    name: str
    applies_to: Selector
    rules_to: tuple[Rule, ...] | None
    rules_from: tuple[Rule, ...] | None
    order: float = float("inf")

    def rules(self, direction: Direction) -> tuple[Rule, ...] | None:
        return self.rules_to if direction is Direction.TO else self.rules_from


@dataclass(frozen=True, slots=True)
class Tier:
    """`end`: what it says of an endpoint that one of its policies judges, when no rule did."""

    name: str
    policies: tuple[Policy, ...]
    end: Action = Action.DENY


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Everything that is enforced, in the order in which it is asked. `end` comes after all tiers."""

    tiers: tuple[Tier, ...] = ()
    end: Action = Action.ALLOW
