"""What the conformance cases cannot ask: the node, the pod itself, ICMP, source ports, stale addresses, and what decides."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import pytest

from agent.objects.decode import decode
from agent.objects.meta import Key
from agent.objects.network_policy import PolicyType
from agent.policy.connection import ICMP, ICMPV6, TCP, UDP, Cause, Connection, RuleReference
from agent.policy.evaluate import Judge, evaluate
from agent.policy.gather import world_of
from agent.policy.world import Endpoint, World

A, B, NODE, OUTSIDE = (ip_address(text) for text in ("10.1.0.1", "10.1.0.2", "192.0.2.1", "198.51.100.1"))
A6, B6 = ip_address("fd00::1"), ip_address("fd00::2")
ENDPOINTS = (Endpoint("n", "a", (A, A6), {"app": "a"}), Endpoint("n", "b", (B, B6), {"app": "b"}))


def calico(spec: dict[str, Any], name: str = "p") -> dict[str, Any]:
    return {"apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkPolicy", "metadata": {"name": name}, "spec": spec}


CLOSED = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "closed", "namespace": "n"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
}


def world(*documents: dict[str, Any], endpoints: tuple[Endpoint, ...] = ENDPOINTS) -> World:
    objects = [found.object for document in documents for found in decode(json.dumps(document))]
    made = world_of(objects, node_name="here", node_addresses=(NODE,))
    return World(**{**{name: getattr(made, name) for name in made.__slots__}, "endpoints": endpoints})


def allowed(found: World, *connection: Any, **fields: Any) -> bool:
    return evaluate(found, Connection(*connection, **fields)).is_allowed


def test_a_node_reaches_its_own_pods_and_no_others() -> None:
    remote = Endpoint("n", "b", (B,), is_local=False)
    assert allowed(world(CLOSED), NODE, A)
    assert not allowed(world(CLOSED), OUTSIDE, A)
    assert not allowed(world(CLOSED, endpoints=(remote,)), NODE, B)


def test_towards_its_node_a_pod_is_judged_like_towards_any_address() -> None:
    assert allowed(world(), A, NODE)
    assert not allowed(world(CLOSED), A, NODE)


def test_a_pod_always_reaches_itself_by_any_of_its_addresses() -> None:
    assert evaluate(world(CLOSED), Connection(A, A)).egress is None
    assert allowed(world(CLOSED), A6, A6)


def test_between_strangers_policy_has_no_say() -> None:
    verdict = evaluate(world(CLOSED), Connection(OUTSIDE, NODE))
    assert (verdict.egress, verdict.ingress, verdict.is_allowed) == (None, None, True)


def test_each_end_is_judged_where_it_is() -> None:
    remote = (ENDPOINTS[0], Endpoint("n", "b", (B,), {"app": "b"}, is_local=False))
    closed_b = {**CLOSED, "spec": {"podSelector": {"matchLabels": {"app": "b"}}, "policyTypes": ["Ingress"]}}
    verdict = evaluate(world(closed_b, endpoints=remote), Connection(A, B))
    assert (verdict.is_allowed, verdict.is_allowed_here) == (False, True)


@pytest.mark.parametrize(
    ("rule", "asked", "matches"),
    [
        ({"protocol": "ICMP", "icmp": {"type": 8}}, (ICMP, 8, 0), True),
        ({"protocol": "ICMP", "icmp": {"type": 8}}, (ICMP, 13, 0), False),
        ({"protocol": "ICMP", "icmp": {"type": 3, "code": 1}}, (ICMP, 3, 1), True),
        ({"protocol": "ICMP", "icmp": {"type": 3, "code": 1}}, (ICMP, 3, 2), False),
        ({"protocol": "ICMP", "notICMP": {"type": 8}}, (ICMP, 8, 0), False),
        ({"protocol": "ICMP", "notICMP": {"type": 3, "code": 1}}, (ICMP, 3, 2), True),
        ({"protocol": "ICMP", "icmp": {}}, (ICMP, 8, 0), True),
        ({"protocol": "ICMP"}, (ICMPV6, 128, 0), False),
        ({"protocol": 58}, (ICMPV6, 128, 0), True),
        ({"notProtocol": "ICMP"}, (ICMP, 8, 0), False),
        ({"protocol": "TCP"}, (ICMP, 8, 0), False),
        ({}, (ICMP, 8, 0), True),
    ],
)
def test_icmp(rule: dict[str, Any], asked: tuple[int, int, int], matches: bool) -> None:
    protocol, type_, code = asked
    ends = (A6, B6) if protocol == ICMPV6 else (A, B)
    found = world(calico({"selector": "app == 'b'", "ingress": [{"action": "Allow", **rule}]}))
    assert allowed(found, *ends, protocol, icmp_type=type_, icmp_code=code) is matches


def test_source_ports() -> None:
    found = world(calico({"selector": "app == 'b'", "ingress": [{"action": "Allow", "protocol": "UDP", "source": {"ports": ["1:1023"]}}]}))
    assert allowed(found, A, B, UDP, 53, 1023)
    assert not allowed(found, A, B, UDP, 53, 1024)
    assert not allowed(found, A, B, TCP, 53, 1023)


def test_a_family_of_its_own() -> None:
    found = world(calico({"selector": "app == 'b'", "ingress": [{"action": "Allow", "ipVersion": 6}]}))
    assert allowed(found, A6, B6)
    assert not allowed(found, A, B)


def test_all_of_the_other_family_is_nothing_of_this_one() -> None:
    only4 = world(calico({"selector": "app == 'b'", "ingress": [{"action": "Allow", "source": {"nets": ["0.0.0.0/0"]}}]}))
    not4 = world(calico({"selector": "app == 'b'", "ingress": [{"action": "Allow", "source": {"notNets": ["0.0.0.0/0"]}}]}))
    assert [allowed(only4, A, B), allowed(only4, A6, B6)] == [True, False]
    assert [allowed(not4, A, B), allowed(not4, A6, B6)] == [False, True]


def test_an_address_that_an_old_record_claims_is_the_local_pods() -> None:
    stale = Endpoint("n", "old", (B,), {"app": "old"}, is_local=False)
    found = world(calico({"selector": "app == 'b'"}), endpoints=(stale, *ENDPOINTS))
    decision = evaluate(found, Connection(A, B)).ingress
    assert decision is not None
    assert str(decision.endpoint) == "n/b"


def test_a_decision_names_tier_policy_rule_and_what_was_logged() -> None:
    rules = [{"action": "Log"}, {"action": "Allow", "protocol": "UDP"}, {"action": "Deny", "source": {"selector": "app == 'a'"}}]
    decision = evaluate(world(calico({"selector": "app == 'b'", "ingress": rules})), Connection(A, B)).ingress
    assert decision is not None
    policy = Key("GlobalNetworkPolicy", "", "p")
    assert (decision.cause, decision.tier, decision.direction) == (Cause.RULE, "default", PolicyType.INGRESS)
    assert (decision.decided_by, decision.logged) == (RuleReference(policy, 2), (RuleReference(policy, 0),))


def test_the_end_of_a_tier_names_every_policy_that_was_asked() -> None:
    other = {**CLOSED, "metadata": {"name": "also", "namespace": "n"}}
    decision = evaluate(world(CLOSED, other), Connection(A, B)).egress
    assert decision is not None
    assert (decision.cause, [key.name for key in decision.policies]) == (Cause.END_OF_TIER, ["also", "closed"])


def test_the_pods_of_a_policy() -> None:
    judge = Judge(world(calico({"selector": "app == 'b'", "types": ["Egress"]})))
    key = Key("GlobalNetworkPolicy", "", "p")
    assert [str(endpoint) for endpoint in judge.subjects(key, PolicyType.EGRESS)] == ["n/b"]
    assert list(judge.subjects(key, PolicyType.INGRESS)) == []


def test_nodes_by_their_labels() -> None:
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "other", "labels": {"role": "edge"}},
        "status": {"addresses": [{"type": "InternalIP", "address": str(OUTSIDE)}, {"type": "Hostname", "address": "other"}]},
    }
    policy = {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": "nodes"},
        "spec": {
            "tier": "Admin",
            "priority": 1,
            "subject": {"namespaces": {}},
            "egress": [{"action": "Deny", "to": [{"nodes": {"matchLabels": {"role": "edge"}}}]}],
        },
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}
    assert not allowed(world(node, policy, namespace), A, OUTSIDE)
    assert allowed(world(node, policy, namespace), A, B)
