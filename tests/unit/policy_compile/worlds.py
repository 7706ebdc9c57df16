"""Random endpoints and policies in the compiler's own terms: small worlds in which everything meets everything."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from random import Random

from agent.objects.calico_selector import Selector, parse_selector
from agent.policy.rules import ANY, Endpoint, Identity, NamedPort, Peer, Policy, PolicySet, Ports, Rule, Tier
from agent.policy.traffic import TCP, Action, Span, spans

SELECTORS = ("app=='a'", "app!='b'", "all()", "has(ns)", "ns=='x'", "app in {'a','b'} && ns=='y'", "!has(zz)")
NETS = ("10.0.0.0/28", "10.0.0.4/30", "0.0.0.0/0", "fd00::/120")
NOT_NETS = ("10.0.0.8/29", "10.0.0.5/32", "fd00::4/126")


@dataclass
class Maker:
    """Everything comes from one seed."""

    random: Random
    identities: dict[tuple[str, str], Identity] = field(default_factory=dict)

    def endpoint(self, number: int) -> Endpoint:
        app, ns = self.random.choice("abc"), self.random.choice("xy")
        identity = self.identities.setdefault((app, ns), Identity({"app": app, "ns": ns}))
        ports = (NamedPort("web", TCP, self.random.choice((80, 81))),) if self.chance(0.5) else ()
        addresses = (ip_address(f"10.0.0.{number}"), ip_address(f"fd00::{number}"))
        return Endpoint(f"p{number}", identity, addresses, ports, self.chance(0.6))

    def policy(self, name: str) -> Policy:
        return Policy(name, self.selector(), self.rules(), self.rules())

    def rules(self) -> tuple[Rule, ...] | None:
        return tuple(self.rule() for _ in range(self.random.randint(0, 4))) if self.chance(0.7) else None

    def rule(self) -> Rule:
        return Rule(
            action=self.random.choice(list(Action)),
            peer=self.peer(),
            own=self.peer() if self.chance(0.1) else ANY,
            protocol=self.random.choice([None, 6, 17, 1]),
            not_protocol=self.random.choice([None, None, 17]),
            ports=self.random.choice([Ports(), Ports(spans([(80, 80), (90, 99)])), Ports((), ("web",))]),
            not_ports=Ports((Span(81, 81),)) if self.chance(0.1) else None,
            source_ports=Ports((Span(1000, 2000),)) if self.chance(0.1) else Ports(),
        )

    def peer(self) -> Peer:
        return Peer(
            selector=self.selector() if self.chance(0.6) else None,
            not_selector=self.selector() if self.chance(0.2) else None,
            nets=(self.net(NETS),) if self.chance(0.3) else None,
            not_nets=(self.net(NOT_NETS),) if self.chance(0.2) else (),
        )

    def net(self, among: tuple[str, ...]) -> IPv4Network | IPv6Network:
        return ip_network(self.random.choice(among))

    def selector(self) -> Selector:
        return parse_selector(self.random.choice(SELECTORS))

    def chance(self, of: float) -> bool:
        return self.random.random() < of


def in_tiers(policies: list[Policy]) -> PolicySet:
    return PolicySet((Tier("first", tuple(policies[:2]), Action.PASS), Tier("second", tuple(policies[2:]))))
