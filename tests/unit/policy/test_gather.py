"""Which pods are endpoints, whose addresses they have, and what becomes of policies that cannot be trusted."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import pytest

from agent.objects.attachment import Attachment, PodReference
from agent.objects.decode import decode
from agent.objects.encode import from_record
from agent.objects.meta import Key, Object, ObjectMeta
from agent.policy.connection import Connection, Verdict
from agent.policy.evaluate import evaluate
from agent.policy.gather import world_of
from agent.policy.world import Endpoint, NamedPort, World

HERE, ELSEWHERE = "10.1.0.1", "10.1.0.2"


def pod(name: str, *, status: dict[str, Any] | None = None, labels: dict[str, str] | None = None, **spec: Any) -> Object:
    container = {"name": "main", "ports": [{"name": "web", "containerPort": 80}, {"containerPort": 81}]}
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "n", "labels": labels or {}},
        "spec": {"containers": [container], **spec},
        "status": status or {},
    }
    (decoded,) = decode(json.dumps(document))
    return decoded.object


def attachment(name: str, address: str = HERE, container: str = "") -> Attachment:
    reference = PodReference(namespace="n" if name else "", name=name)
    return Attachment(metadata=ObjectMeta(name=f"at-{address}"), pod=reference, addresses=(ip_address(address),), container_id=container)


def policy(kind: str, spec: dict[str, Any], name: str = "p", **metadata: str) -> Object:
    versions = {"NetworkPolicy": "networking.k8s.io/v1", "ClusterNetworkPolicy": "policy.networking.k8s.io/v1alpha2"}
    version = versions.get(kind, "projectcalico.org/v3")
    document = {"apiVersion": version, "kind": kind.removeprefix("Calico"), "metadata": {"name": name, **metadata}, "spec": spec}
    return from_record(kind, json.dumps(document).encode()).object


def endpoints(*objects: Object) -> tuple[Endpoint, ...]:
    return world_of(objects, node_name="here").endpoints


def test_a_pod_of_this_node_has_what_was_attached_and_one_of_another_what_its_status_says() -> None:
    away = pod("away", nodeName="there", status={"podIPs": [{"ip": ELSEWHERE}, {"ip": "fd00::2"}]})
    here = pod("here", nodeName="here", status={"podIPs": [{"ip": "10.1.0.99"}]}, labels={"a": "b"}, serviceAccountName="s")
    first, second = endpoints(here, attachment("here"), away)
    assert first == Endpoint("n", "away", (ip_address(ELSEWHERE), ip_address("fd00::2")), {}, "", first.ports, is_local=False)
    assert (second.addresses, second.labels, second.service_account) == ((ip_address(HERE),), {"a": "b"}, "s")
    assert second.ports == (NamedPort("web", second.ports[0].protocol, 80),)


@pytest.mark.parametrize(
    "gone",
    [
        pod("p", status={"phase": "Succeeded"}),
        pod("p", status={"phase": "Failed"}),
        pod("p", hostNetwork=True),
    ],
)
def test_a_pod_without_an_address_of_its_own_is_no_endpoint(gone: Object) -> None:
    assert endpoints(gone, attachment("p")) == ()


def test_a_new_pod_is_an_endpoint_once_it_is_attached() -> None:
    assert endpoints(pod("p")) == ()
    assert len(endpoints(pod("p"), attachment("p"))) == 1


def test_what_only_a_runtime_knows_is_an_endpoint_without_labels() -> None:
    assert [(e.namespace, e.name) for e in endpoints(attachment("", container="abc"), attachment("p", ELSEWHERE))] == [
        ("", "abc"),
        ("n", "p"),
    ]


def world(*objects: Object) -> World:
    both = (pod("a", labels={"app": "a"}), attachment("a"), pod("b", labels={"app": "b"}), attachment("b", ELSEWHERE))
    return world_of((*both, *objects), node_name="here")


def to_b(found: World) -> Verdict:
    return evaluate(found, Connection(ip_address(HERE), ip_address(ELSEWHERE), destination_port=80))


BROKEN = [
    pytest.param(
        policy("NetworkPolicy", {"podSelector": {"matchLabels": {"app": "b"}}, "ingress": [{"from": [{"zone": 1}]}]}, namespace="n"),
        id="field",
    ),
    pytest.param(
        policy("NetworkPolicy", {"podSelector": {"matchLabels": {"app": "b"}}, "ingress": [{"ports": [{"port": 0}]}]}, namespace="n"),
        id="port",
    ),
    pytest.param(policy("NetworkPolicy", {"podSelector": 7}, namespace="n"), id="subject"),
    pytest.param(
        policy("CalicoNetworkPolicy", {"selector": "app == 'b'", "ingress": [{"action": "Allow", "novel": 1}]}, namespace="n"), id="calico"
    ),
    pytest.param(policy("CalicoNetworkPolicy", {"selector": "app ==", "ingress": [{"action": "Allow"}]}, namespace="n"), id="selector"),
    pytest.param(policy("GlobalNetworkPolicy", {"tier": "gone", "selector": "app == 'b'", "ingress": [{"action": "Allow"}]}), id="tier"),
    pytest.param(
        policy(
            "ClusterNetworkPolicy",
            {"tier": "Admin", "priority": 1, "subject": {"pods": {"podSelector": {"matchLabels": {"app": "b"}}}}, "ingress": [{}]},
        ),
        id="cluster",
    ),
    pytest.param(policy("GlobalNetworkSet", {"nets": ["nonsense"]}), id="set"),
    pytest.param(policy("Profile", {"ingress": [{"action": "Allow", "novel": 1}]}, name="kns.n"), id="profile"),
]


@pytest.mark.parametrize("broken", BROKEN)
def test_what_cannot_be_understood_denies_and_says_why(broken: Object) -> None:
    found = world(broken)
    assert to_b(world()).is_allowed
    assert not to_b(found).is_allowed
    assert found.broken.keys() == {broken.key}
    decision = to_b(found).ingress
    assert decision is not None
    named = decision.policies if decision.decided_by is None else (decision.decided_by.policy,)
    assert named == (broken.key,)


@pytest.mark.parametrize("broken", BROKEN[:2] + BROKEN[3:4] + BROKEN[5:7])
def test_it_closes_only_whom_it_selects(broken: Object) -> None:
    back = Connection(ip_address(ELSEWHERE), ip_address(HERE), destination_port=80)
    verdict = evaluate(world(broken), back)
    assert verdict.ingress is not None
    assert verdict.ingress.is_allowed
    assert verdict.egress is not None
    assert not verdict.egress.is_allowed


def test_a_policy_that_comes_before_a_broken_one_still_decides() -> None:
    allow = policy("GlobalNetworkPolicy", {"order": 1, "ingress": [{"action": "Allow"}]}, name="first")
    broken = policy("GlobalNetworkPolicy", {"order": 2, "ingress": [{"action": "Allow", "novel": 1}]})
    assert to_b(world(allow, broken)).ingress.is_allowed  # type: ignore[union-attr]


def test_a_broken_tier_breaks_the_policies_that_name_it() -> None:
    tier = policy("Tier", {"order": 1, "novel": 1}, name="t")
    inside = policy("GlobalNetworkPolicy", {"tier": "t", "ingress": [{"action": "Allow"}], "selector": "app == 'b'"})
    assert world(tier, inside).broken.keys() == {Key("Tier", "", "t"), Key("GlobalNetworkPolicy", "", "p")}
    assert not to_b(world(tier, inside)).is_allowed


def test_the_order_of_the_objects_does_not_matter() -> None:
    objects = list({thing.key: thing for case in BROKEN for thing in case.values if isinstance(thing, Object)}.values())
    assert world(*objects) == world(*reversed(objects))
