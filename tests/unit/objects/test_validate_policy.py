"""Every refusal of a policy, by the path that it names; and manifests at the limits, which are taken."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.errors import InvalidObject
from agent.objects.decode import decode

VERSIONS = {
    "NetworkPolicy": "networking.k8s.io/v1",
    "ClusterNetworkPolicy": "policy.networking.k8s.io/v1alpha2",
}


def document(kind: str, spec: dict[str, Any], name: str = "a") -> str:
    group = VERSIONS.get(kind, "projectcalico.org/v3")
    return json.dumps({"apiVersion": group, "kind": kind.removeprefix("Calico"), "metadata": {"name": name}, "spec": spec})


def problems(kind: str, spec: dict[str, Any], name: str = "a") -> list[str]:
    try:
        decode(document(kind, spec, name))
    except InvalidObject as refusal:
        return list(refusal.problems)
    return []


def peer(fields: dict[str, Any]) -> dict[str, Any]:
    return {"podSelector": {}, "ingress": [{"from": [fields]}]}


def port(fields: dict[str, Any]) -> dict[str, Any]:
    return {"podSelector": {}, "egress": [{"ports": [fields]}]}


def rule(**fields: Any) -> dict[str, Any]:
    return {"ingress": [{"action": "Allow", **fields}]}


def cluster(rules: list[dict[str, Any]], word: str = "egress", **fields: Any) -> dict[str, Any]:
    return {"tier": "Admin", "priority": 5, "subject": {"namespaces": {}}, word: rules, **fields}


def to(fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return cluster([{"action": "Deny", "to": [fields], **more}])


def protocol(fields: dict[str, Any]) -> dict[str, Any]:
    return to({"namespaces": {}}, protocols=[fields])


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"podSelector": {"matchLabels": {"-": "a"}}}, 'spec.podSelector.matchLabels: key "-"'),
        ({"policyTypes": ["Ingress", "Ingress"]}, 'spec.policyTypes[1]: "Ingress" is there twice'),
        ({"policyTypes": ["In"]}, "spec.policyTypes[0]: expected Ingress or Egress"),
        (peer({}), "spec.ingress[0].from[0]: is empty"),
        (peer({"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}), "spec.ingress[0].from[0].ipBlock: cannot stand beside"),
        (peer({"ipBlock": {}}), "spec.ingress[0].from[0].ipBlock.cidr: is required and missing"),
        (peer({"ipBlock": {"cidr": "10.0.0.0/33"}}), "spec.ingress[0].from[0].ipBlock.cidr:"),
        (peer({"ipBlock": {"cidr": "::ffff:10.0.0.0/104"}}), 'spec.ingress[0].from[0].ipBlock.cidr: "::ffff:'),
        (
            peer({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/9"]}}),
            "spec.ingress[0].from[0].ipBlock.except[0]: 11.0.0.0/9 is not",
        ),
        (
            peer({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}}),
            "spec.ingress[0].from[0].ipBlock.except[0]: 10.0.0.0/8 is not",
        ),
        (peer({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["::/0"]}}), "spec.ingress[0].from[0].ipBlock.except[0]: ::/0 is not"),
        (
            peer({"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
            "spec.ingress[0].from[0].podSelector.matchExpressions[0].values",
        ),
        (peer({"zone": "a"}), "spec.ingress[0].from[0].zone: unknown field"),
        (port({"port": 0}), "spec.egress[0].ports[0].port: 0 is not a port"),
        (port({"port": 65536}), "spec.egress[0].ports[0].port: 65536 is not a port"),
        (port({"port": "HTTP"}), 'spec.egress[0].ports[0].port: "HTTP" is not a port name'),
        (port({"port": "80"}), 'spec.egress[0].ports[0].port: "80" is not a port name'),
        (port({"endPort": 80}), "spec.egress[0].ports[0].endPort: needs a number as port"),
        (port({"port": "http", "endPort": 80}), "spec.egress[0].ports[0].endPort: needs a number as port"),
        (port({"port": 80, "endPort": 79}), "spec.egress[0].ports[0].endPort: 79 is not between"),
        (port({"protocol": "ICMP"}), "spec.egress[0].ports[0].protocol: expected TCP, UDP or SCTP"),
    ],
)
def test_a_network_policy_is_refused_by_path(spec: dict[str, Any], problem: str) -> None:
    assert problems("NetworkPolicy", spec)[0].startswith(problem)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"selector": "a = 'b'"}, "spec.selector: cannot read selector"),
        ({"selector": "global()"}, "spec.selector: global() has a meaning only"),
        ({"selector": "a == '" + "b" * 1024 + "'"}, "spec.selector: is 1031 characters long"),
        ({"serviceAccountSelector": "a"}, "spec.serviceAccountSelector: cannot read"),
        ({"tier": "A b"}, 'spec.tier: "A b" is not a DNS name'),
        ({"types": ["Egress", "Egress"]}, "spec.types[1]:"),
        ({"performanceHints": ["faster"]}, 'spec.performanceHints[0]: "faster" is no hint'),
        ({"ingress": [{"action": "Allow"}] * 1025}, "spec.ingress: has 1025 rules"),
        ({"ingress": [{"action": "Accept"}]}, "spec.ingress[0].action: expected Allow, Deny, Pass or Log"),
        ({"egress": [{}]}, "spec.egress[0].action: is required and missing"),
        (rule(ipVersion=5), "spec.ingress[0].ipVersion: 5 is neither"),
        (rule(http={"methods": ["GET"]}), "spec.ingress[0].http: is not supported"),
        (rule(protocol="TPC"), 'spec.ingress[0].protocol: "TPC" is not a protocol'),
        (rule(protocol=256), 'spec.ingress[0].protocol: "256" is not a protocol'),
        (rule(notProtocol=0), 'spec.ingress[0].notProtocol: "0" is not a protocol'),
        (rule(protocol="ICMP", ipVersion=6), "spec.ingress[0].protocol: ICMP is not a protocol of ipVersion 6"),
        (rule(notProtocol="ICMPv6", ipVersion=4), "spec.ingress[0].notProtocol: ICMPv6 is not"),
        (rule(icmp={"type": 8}), "spec.ingress[0].icmp: needs protocol ICMP"),
        (rule(protocol="TCP", notICMP={"type": 8}), "spec.ingress[0].notICMP: needs protocol ICMP"),
        (rule(protocol="ICMP", notICMP={}), "spec.ingress[0].notICMP: needs a type"),
        (rule(protocol="ICMP", icmp={"code": 0}), "spec.ingress[0].icmp.code: needs a type"),
        (rule(protocol="ICMP", icmp={"type": 255}), "spec.ingress[0].icmp.type: 255 is not"),
        (rule(protocol="ICMP", icmp={"type": 3, "code": 256}), "spec.ingress[0].icmp.code: 256 is not"),
        (rule(source={"services": {"name": "a"}}), "spec.ingress[0].source.services: is not supported"),
        (rule(destination={"domains": ["a.b"]}), "spec.ingress[0].destination.domains: unknown field"),
        (rule(source={"selector": "all("}), "spec.ingress[0].source.selector: cannot read"),
        (rule(source={"notSelector": "global()"}), "spec.ingress[0].source.notSelector: global()"),
        (rule(source={"serviceAccounts": {"names": ["A"]}}), "spec.ingress[0].source.serviceAccounts.names[0]:"),
        (rule(source={"serviceAccounts": {"selector": "a"}}), "spec.ingress[0].source.serviceAccounts.selector:"),
        (rule(source={"nets": ["10.0.0.0/33"]}), "spec.ingress[0].source.nets[0]:"),
        (rule(source={"nets": ["10.0.0.0/8"] * 257}), "spec.ingress[0].source.nets: has 257 elements"),
        (rule(ipVersion=6, source={"notNets": ["10.0.0.0/8"]}), "spec.ingress[0].source.notNets[0]: 10.0.0.0/8 is not of ipVersion 6"),
        (rule(destination={"ports": [80]}), "spec.ingress[0].destination.ports: needs a protocol"),
        (rule(protocol="ICMP", destination={"notPorts": [80]}), "spec.ingress[0].destination.notPorts: needs a protocol"),
        (rule(protocol="TCP", destination={"ports": [1] * 51}), "spec.ingress[0].destination.ports: has 51 elements"),
        (rule(protocol="TCP", source={"ports": [0]}), 'spec.ingress[0].source.ports[0]: "0" is not a port'),
        (rule(protocol="TCP", source={"ports": ["9:8"]}), 'spec.ingress[0].source.ports[0]: "9:8" is not'),
        (rule(protocol="TCP", source={"ports": ["1:65536"]}), 'spec.ingress[0].source.ports[0]: "1:65536" is not'),
        (rule(protocol="TCP", source={"ports": ["a b"]}), 'spec.ingress[0].source.ports[0]: "a b" is not'),
    ],
)
def test_a_calico_policy_is_refused_by_path(spec: dict[str, Any], problem: str) -> None:
    assert problems("CalicoNetworkPolicy", spec)[0].startswith(problem)
    assert problems("GlobalNetworkPolicy", spec)[0].startswith(problem)


@pytest.mark.parametrize(
    ("kind", "spec", "problem"),
    [
        ("GlobalNetworkPolicy", {"namespaceSelector": "global()"}, "spec.namespaceSelector: global()"),
        ("GlobalNetworkPolicy", {"doNotTrack": True, "preDNAT": True, "applyOnForward": True}, "spec.preDNAT: cannot stand beside"),
        ("GlobalNetworkPolicy", {"doNotTrack": True}, "spec.applyOnForward: must be true with doNotTrack"),
        ("GlobalNetworkPolicy", {"preDNAT": True, "applyOnForward": True, "types": ["Egress"]}, "spec.egress: a preDNAT policy has none"),
        ("CalicoNetworkPolicy", {"namespaceSelector": "all()"}, "spec.namespaceSelector: unknown field"),
        ("NetworkSet", {"nets": ["10.0.0.0/8", "a"]}, "spec.nets[1]:"),
        ("GlobalNetworkSet", {"nets": ["::ffff:10.0.0.1"]}, 'spec.nets[0]: "::ffff:'),
        ("Profile", {"egress": [{"action": "Pass"}]}, "spec.egress[0].action: a profile has no next tier"),
        ("Profile", {"labelsToApply": {"-": "a"}}, "spec.labelsToApply: key"),
        ("Tier", {"defaultAction": "Allow"}, "spec.defaultAction: expected Deny or Pass"),
    ],
)
def test_calico_objects_are_refused_by_path(kind: str, spec: dict[str, Any], problem: str) -> None:
    assert problems(kind, spec)[0].startswith(problem)


@pytest.mark.parametrize(
    ("name", "spec", "wrong"),
    [
        ("default", {"order": 1_000_000, "defaultAction": "Pass"}, "spec.defaultAction: the tier default always ends with Deny"),
        ("kube-admin", {"order": 1_000}, "spec.defaultAction: the tier kube-admin always ends with Pass"),
        ("default", {"order": 1}, "spec.order: the tier default is always at 1000000"),
    ],
)
def test_the_built_in_tiers_stay_as_they_are(name: str, spec: dict[str, Any], wrong: str) -> None:
    assert problems("Tier", spec, name) == [wrong]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"tier": "Admin", "priority": 5}, "spec.subject: is required and missing"),
        (cluster([], priority=1001), "spec.priority: 1001 is not between 0 and 1000"),
        (cluster([], tier="Default"), "spec.tier: expected Admin or Baseline"),
        (cluster([], subject={}), "spec.subject: exactly one"),
        (cluster([], subject={"namespaces": {}, "pods": {}}), "spec.subject: exactly one"),
        (cluster([{"action": "Deny", "to": [{"namespaces": {}}]}] * 26), "spec.egress: has 26 elements, at most 25"),
        (cluster([{"action": "Deny", "to": []}]), "spec.egress[0].to: has 0 elements, 1 to 25"),
        (cluster([{"action": "Allow", "to": [{"namespaces": {}}]}]), "spec.egress[0].action: expected Accept, Deny or Pass"),
        (cluster([{"action": "Deny", "name": "a" * 101, "to": [{"namespaces": {}}]}]), "spec.egress[0].name: is 101 characters"),
        (to({}), "spec.egress[0].to[0]: exactly one of namespaces, pods, nodes, networks, domainNames"),
        (to({"namespaces": {}, "pods": {}}), "spec.egress[0].to[0]: exactly one"),
        (to({"domainNames": ["a.b"]}), "spec.egress[0].to[0].domainNames: is not supported"),
        (to({"networks": ["a"]}), "spec.egress[0].to[0].networks[0]:"),
        (to({"networks": ["10.0.0.0/8"] * 26}), "spec.egress[0].to[0].networks: has 26"),
        (
            cluster([{"action": "Deny", "from": [{"networks": ["10.0.0.0/8"]}]}], "ingress"),
            "spec.ingress[0].from[0].networks: is for egress only",
        ),
        (cluster([{"action": "Deny", "from": [{"nodes": {}}]}], "ingress"), "spec.ingress[0].from[0].nodes: is for egress only"),
        (protocol({}), "spec.egress[0].protocols[0]: exactly one"),
        (protocol({"tcp": {}, "udp": {}}), "spec.egress[0].protocols[0]: exactly one"),
        (protocol({"destinationNamedPort": "A"}), 'spec.egress[0].protocols[0].destinationNamedPort: "A" is not'),
        (protocol({"tcp": {"destinationPort": {}}}), "spec.egress[0].protocols[0].tcp.destinationPort: exactly one"),
        (protocol({"udp": {"destinationPort": {"number": 0}}}), "spec.egress[0].protocols[0].udp.destinationPort.number: 0"),
        (
            protocol({"sctp": {"destinationPort": {"range": {"start": 9, "end": 9}}}}),
            "spec.egress[0].protocols[0].sctp.destinationPort.range:",
        ),
        (
            to({"nodes": {}}, protocols=[{"destinationNamedPort": "web"}]),
            "spec.egress[0].protocols[0].destinationNamedPort: networks and nodes",
        ),
    ],
)
def test_a_cluster_policy_is_refused_by_path(spec: dict[str, Any], problem: str) -> None:
    assert problems("ClusterNetworkPolicy", spec)[0].startswith(problem)


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("NetworkPolicy", {}),
        ("NetworkPolicy", {"podSelector": {}, "policyTypes": ["Egress", "Ingress"], "ingress": [], "egress": [{}]}),
        ("NetworkPolicy", peer({"ipBlock": {"cidr": "10.1.2.3/8", "except": ["10.1.0.0/16"]}})),
        ("NetworkPolicy", peer({"podSelector": {}, "namespaceSelector": {}})),
        ("NetworkPolicy", port({"port": "serve-80-tcp", "protocol": "SCTP"})),
        ("NetworkPolicy", port({"port": 1, "endPort": 65535})),
        ("CalicoNetworkPolicy", {"selector": "", "order": 1.5, "tier": "default.x", "types": ["Ingress", "Egress"]}),
        ("CalicoNetworkPolicy", rule(protocol="udp", source={"ports": [1, "65535", "2:3", "name_1.a"]})),
        ("CalicoNetworkPolicy", rule(protocol=136, destination={"notPorts": ["1:65535"]})),
        ("CalicoNetworkPolicy", rule(protocol="ICMPv6", icmp={"type": 254, "code": 255}, ipVersion=6)),
        ("CalicoNetworkPolicy", rule(source={"namespaceSelector": "global()", "nets": ["192.0.2.1", "::/0"]})),
        (
            "CalicoNetworkPolicy",
            rule(source={"serviceAccounts": {"names": ["a"], "selector": "has(b)"}}, metadata={"annotations": {"a": "b"}}),
        ),
        ("GlobalNetworkPolicy", {"doNotTrack": True, "applyOnForward": True, "namespaceSelector": "all()"}),
        ("NetworkSet", {}),
        ("GlobalNetworkSet", {"nets": ["0.0.0.0/0", "2001:db8::1"]}),
        ("Profile", {"ingress": [{"action": "Log"}, {"action": "Deny"}], "labelsToApply": {"a": "b"}}),
        ("Tier", {}),
        ("Tier", {"order": 3.5, "defaultAction": "Pass"}),
        (
            "ClusterNetworkPolicy",
            cluster([{"action": "Pass", "from": [{"pods": {"podSelector": {}}}]}], "ingress", tier="Baseline", priority=0),
        ),
        (
            "ClusterNetworkPolicy",
            to({"networks": ["10.0.0.0/8", "fd00::/8"]}, protocols=[{"tcp": {}}, {"udp": {"destinationPort": {"number": 1}}}]),
        ),
    ],
)
def test_what_is_taken(kind: str, spec: dict[str, Any]) -> None:
    assert problems(kind, spec) == []
