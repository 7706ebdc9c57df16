"""The question and its answer: a connection's first packet, and what policy says of it at either end.

Addresses are the identity, as on the wire: after translation, so a Service's backend and a hostPort's pod. An answer
names what decided, in words that a person can look up: tier, policy, rule. Both readings of policy answer in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agent.objects.meta import IPAddress, Key
from agent.objects.network_policy import PolicyType
from agent.policy.world import Endpoint

ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132


@dataclass(frozen=True, slots=True)
class Connection:
    """`protocol` is IP's number. Ports are 0 and `icmp_type`, `icmp_code` None where the protocol has none."""

    source: IPAddress
    destination: IPAddress
    protocol: int = TCP
    destination_port: int = 0
    source_port: int = 0
    icmp_type: int | None = None
    icmp_code: int | None = None


class Cause(StrEnum):
    RULE = "rule"
    END_OF_TIER = "end of tier"
    PROFILE = "profile"
    OWN_NODE = "own node"
    NO_PROFILE = "no profile"


@dataclass(frozen=True, slots=True)
class RuleReference:
    """One rule of a policy or profile; `rule` counts from 0 within its direction, None is the policy as a whole."""

    policy: Key
    rule: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What policy says at one end. `policies`: the ones of the tier whose end it is. `logged`: Log rules on the way."""

    endpoint: Endpoint
    direction: PolicyType
    is_allowed: bool
    cause: Cause
    tier: str = ""
    decided_by: RuleReference | None = None
    policies: tuple[Key, ...] = ()
    logged: tuple[RuleReference, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """None: that end is no pod, or the connection is a pod's with itself; policy has no say there."""

    egress: Decision | None = None
    ingress: Decision | None = None

    @property
    def is_allowed(self) -> bool:
        return all(decision.is_allowed for decision in (self.egress, self.ingress) if decision is not None)

    @property
    def is_allowed_here(self) -> bool:
        """As far as this node is the judge: the other end's own node decides for that end."""
        return all(d.is_allowed for d in (self.egress, self.ingress) if d is not None and d.endpoint.is_local)
