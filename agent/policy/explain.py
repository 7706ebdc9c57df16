"""A decision in words: what decided, where it stands in which manifest, and what would have to change.

Pure, and the same for the model's verdict and for what is seen on the wire. Sentences name objects as `podwright get`
does, and rules by their path, so that what is said can be looked up.
"""

from __future__ import annotations

from agent.objects.kinds import KINDS
from agent.objects.meta import Key
from agent.objects.namespace import NAME_LABEL
from agent.objects.network_policy import PolicyType
from agent.policy.connection import ICMP, ICMPV6, SCTP, TCP, UDP, Cause, Connection, Decision, RuleReference
from agent.policy.world import Endpoint, World

_PROTOCOLS = {TCP: "TCP", UDP: "UDP", SCTP: "SCTP", ICMP: "ICMP", ICMPV6: "ICMPv6"}


def named(key: Key) -> str:
    """ "NetworkPolicy shop/web", "Calico NetworkPolicy shop/web"."""
    info = KINDS[key.kind]
    kind = f"Calico {info.written}" if info.alias else info.written
    return f"{kind} {key.namespace}/{key.name}" if key.namespace else f"{kind} {key.name}"


def path(reference: RuleReference, direction: PolicyType) -> str:
    return f"spec.{direction.value.lower()}[{reference.rule}] of {named(reference.policy)}"


def protocol_name(number: int) -> str:
    return _PROTOCOLS.get(number, f"protocol {number}")


def sentence(decision: Decision, world: World) -> str:
    """What decided."""
    word = "allowed" if decision.is_allowed else "denied"
    way, tier = decision.direction.value.lower(), decision.tier
    match decision.cause:
        case Cause.OWN_NODE:
            return "allowed: a node always reaches its own pods"
        case Cause.PROFILE if decision.decided_by is None:
            return f"allowed: no policy decides about {way} of {decision.endpoint}"
        case Cause.NO_PROFILE:
            return f"denied: no policy decides, and no profile of {decision.endpoint} allows it"
        case Cause.END_OF_TIER:
            asked = [named(key) for key in decision.policies]
            verb = "does not allow it" if len(asked) == 1 else "do not allow it"
            return f"denied at the end of tier {tier}: {', '.join(asked)} {verb}{_broken(decision, world)}"
    assert decision.decided_by is not None
    where = f" (tier {tier})" if tier else ""
    return f"{word} by {path(decision.decided_by, decision.direction)}{where}{_broken(decision, world)}"


def cure(decision: Decision, connection: Connection, world: World) -> str:
    """What would have to change for the other answer; "" where nothing can."""
    if decision.cause is Cause.OWN_NODE:
        return ""
    if decision.is_allowed:
        return _closing(decision)
    if decision.cause is Cause.END_OF_TIER:
        kubernetes = next((key for key in decision.policies if key.kind == "NetworkPolicy"), None)
        if kubernetes is not None:
            return f"add to spec.{decision.direction.value.lower()} of {named(kubernetes)}: {_rule(decision, connection, world)}"
        return f"add a rule with action Allow to one of them, or give the tier {decision.tier} the defaultAction Pass"
    if decision.decided_by is None:
        return "allow it by a policy"
    return f"change {path(decision.decided_by, decision.direction)}, or allow it by a policy that comes before"


def _closing(decision: Decision) -> str:
    way = decision.direction.value
    if decision.decided_by is None:
        endpoint = decision.endpoint
        return f"to close it, apply a NetworkPolicy in {endpoint.namespace} that selects {endpoint.name}, with policyTypes [{way}]"
    return f"to close it, narrow {path(decision.decided_by, decision.direction)}"


def _rule(decision: Decision, connection: Connection, world: World) -> str:
    """A rule of a NetworkPolicy, in one line of YAML, that allows just this connection."""
    is_ingress = decision.direction is PolicyType.INGRESS
    address = connection.source if is_ingress else connection.destination
    far_end = next((endpoint for endpoint in world.endpoints if address in endpoint.addresses), None)
    peer = f"ipBlock: {{cidr: {address}/{address.max_prefixlen}}}" if far_end is None else _selectors(far_end, decision.endpoint)
    protocol = _PROTOCOLS.get(connection.protocol, "")
    ports = ""
    if protocol in ("TCP", "UDP", "SCTP"):
        ports = f", ports: [{{protocol: {protocol}, port: {connection.destination_port}}}]"
    return f"- {{{'from' if is_ingress else 'to'}: [{{{peer}}}]{ports}}}"


def _selectors(far_end: Endpoint, own: Endpoint) -> str:
    labels = ", ".join(f"{key}: {value}" for key, value in sorted(far_end.labels.items()))
    pods = f"podSelector: {{matchLabels: {{{labels}}}}}" if labels else "podSelector: {}"
    if far_end.namespace == own.namespace:
        return pods
    return f"namespaceSelector: {{matchLabels: {{{NAME_LABEL}: {far_end.namespace}}}}}, {pods}"


def _broken(decision: Decision, world: World) -> str:
    """Why one of the deciding policies denies in place of what it says."""
    keys = [decision.decided_by.policy] if decision.decided_by is not None else list(decision.policies)
    reasons = [f"{named(key)} cannot be enforced: {world.broken[key]}" for key in keys if key in world.broken]
    return f"; {'; '.join(reasons)}" if reasons else ""
