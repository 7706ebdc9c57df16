"""podwright policy, and policies in get and describe: over pods of another node, so that no node is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.api.client import Client
from agent.cli.policy import matrix_lines
from tests.unit.api.conftest import manifest
from tests.unit.cli.conftest import Podwright

DENY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "deny"},
    "spec": {"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"]},
}


def remote(name: str, *addresses: str, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"nodeName": "node-2", "containers": [{"name": "main", "ports": [{"name": "sql", "containerPort": 5432}]}]},
        "status": {"podIPs": [{"ip": address} for address in addresses]},
    }


def calico(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture(autouse=True)
def pods(client: Client) -> None:
    client.apply(manifest(remote("web", "10.9.0.1", "fd00::1", app="web"), remote("db", "10.9.0.2", "fd00::2", app="db")))


@pytest.fixture
def deny(client: Client) -> None:
    client.apply(manifest(DENY))


def test_without_a_policy_everything_is_allowed(podwright: Podwright) -> None:
    result = podwright("policy", "explain", "web", "db", "--port", "5432")
    assert result.out == (
        "default/web (10.9.0.1, fd00::1) to default/db (10.9.0.2, fd00::2), TCP port 5432: allowed\n"
        "  egress of default/web  allowed: no policy decides about egress of default/web (enforced by the pod's own node)\n"
        "                         to close it, apply a NetworkPolicy in default that selects web, with policyTypes [Egress]\n"
        "  ingress of default/db  allowed: no policy decides about ingress of default/db (enforced by the pod's own node)\n"
        "                         to close it, apply a NetworkPolicy in default that selects db, with policyTypes [Ingress]\n"
    )


def test_a_denial_names_its_policy_and_the_rule_that_would_open_it(podwright: Podwright, deny: None) -> None:
    result = podwright("policy", "explain", "web", "default/db", "--port", "5432")
    assert result.status == 0
    assert "TCP port 5432: denied" in result.out
    assert "denied at the end of tier default: NetworkPolicy default/deny does not allow it" in result.out
    cure = "- {from: [{podSelector: {matchLabels: {app: web}}}], ports: [{protocol: TCP, port: 5432}]}"
    assert f"add to spec.ingress of NetworkPolicy default/deny: {cure}\n" in result.out


def test_the_cure_cures(podwright: Podwright, deny: None, client: Client) -> None:
    rule = {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"protocol": "TCP", "port": 5432}]}
    client.apply(manifest({**DENY, "spec": {**DENY["spec"], "ingress": [rule]}}))
    out = podwright("policy", "explain", "web", "db", "--port", "5432").out
    assert "allowed by spec.ingress[0] of NetworkPolicy default/deny (tier default)" in out


def test_from_outside_and_by_another_protocol(podwright: Podwright, deny: None) -> None:
    out = podwright("policy", "explain", "192.0.2.7", "db", "--protocol", "icmp").out
    assert out.startswith("192.0.2.7 to default/db (10.9.0.2), ICMP: denied\n")
    assert "- {from: [{ipBlock: {cidr: 192.0.2.7/32}}]}" in out


def test_a_rule_of_a_tier_is_named_by_its_path(podwright: Podwright, client: Client) -> None:
    log, refuse = {"action": "Log"}, {"action": "Deny", "protocol": "TCP", "destination": {"ports": [5432]}}
    client.apply(
        manifest(
            calico("Tier", "security", {"order": 10}),
            calico("GlobalNetworkPolicy", "sql", {"tier": "security", "selector": "app == 'db'", "ingress": [log, refuse]}),
        )
    )
    out = podwright("policy", "explain", "web", "db", "--port", "5432").out
    assert "denied by spec.ingress[1] of GlobalNetworkPolicy sql (tier security)" in out
    assert "logged by spec.ingress[0] of GlobalNetworkPolicy sql" in out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("nobody", "db"), "pod default/nobody does not exist"),
        (("10.9.0.1", "fd00::2"), "the two ends have no address family in common"),
        (("web", "db", "--port", "x"), 'port: "x" is not a port'),
        (("web", "db", "--protocol", "udp"), "port: udp needs one"),
        (("web", "db", "--protocol", "tpc"), 'protocol: "tpc" is not a protocol'),
    ],
)
def test_a_question_that_makes_no_sense(podwright: Podwright, arguments: tuple[str, ...], problem: str) -> None:
    result = podwright("policy", "explain", *arguments)
    assert (result.status, result.out) == (1, "")
    assert problem in result.err


def test_the_matrix(podwright: Podwright, deny: None) -> None:
    assert podwright("policy", "matrix").out == (
        "FROM \\ TO     default/db   default/web\ndefault/db    .            yes\ndefault/web   -            .\n"
    )


def test_a_cell_that_is_partly_open_names_its_ports(client: Client, podwright: Podwright) -> None:
    pod = remote("db", "10.9.0.2", app="db")
    pod["spec"]["containers"][0]["ports"].append({"name": "http", "containerPort": 80})
    client.delete("/api/v1/namespaces/default/pods/db")
    client.apply(manifest(pod, {**DENY, "spec": {**DENY["spec"], "ingress": [{"ports": [{"port": "http"}]}]}}))
    assert ["default/web", "tcp/80", "."] in podwright("policy", "matrix").rows
    assert ["default/web", "-", "."] in podwright("policy", "matrix", "--port", "5432").rows


def test_a_wide_matrix_counts_its_columns() -> None:
    cells = [
        {"source": f"n/{a}", "destination": f"n/{b}", "asked": ["tcp/80"], "allowed": []} for a in range(9) for b in range(9) if a != b
    ]
    header, first, *_ = matrix_lines(cells, columns=60)
    assert header.split() == ["FROM", "\\", "TO", *map(str, range(1, 10))]
    assert first.split() == ["1", "n/0", ".", *["-"] * 8]


def test_what_a_manifest_would_change(podwright: Podwright, tmp_path: Path, client: Client) -> None:
    file = tmp_path / "deny.json"
    file.write_text(json.dumps(DENY))
    result = podwright("policy", "matrix", "--diff", "-f", str(file))
    assert result.out == "- default/web to default/db tcp/5432: now denied\n0 opened, 1 closed\n"
    assert client.get("/apis/networking.k8s.io/v1/networkpolicies")["items"] == []
    client.apply(manifest(DENY))
    assert podwright("policy", "matrix", "--diff", "-f", str(file)).err == "nothing would change\n"


def test_a_wrong_manifest_is_refused_as_apply_would(podwright: Podwright, tmp_path: Path) -> None:
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps({**DENY, "spec": {"ingress": [{"from": [{}]}]}}))
    result = podwright("policy", "matrix", "--diff", "-f", str(file))
    assert result.status == 1
    assert "spec.ingress[0].from[0]: is empty" in result.err


def test_two_kinds_of_one_name_are_told_apart(podwright: Podwright, deny: None, client: Client) -> None:
    client.apply(manifest(calico("NetworkPolicy", "mine", {"order": 5, "selector": "all()", "types": ["Egress"]})))
    assert podwright("get", "networkpolicies").rows == [["NAME", "POD-SELECTOR", "AGE"], ["deny", "app=db", "5s"]]
    assert podwright("get", "networkpolicies.p").rows == [["NAME", "TIER", "ORDER", "AGE"], ["mine", "default", "5.0", "5s"]]
    assert podwright("get", "caliconetworkpolicies", "-o", "name").out == "networkpolicy.projectcalico.org/mine\n"
    assert podwright("delete", "networkpolicy.projectcalico.org/mine").status == 0
    assert podwright("get", "netpol", "-o", "name").out == "networkpolicy.networking.k8s.io/deny\n"


def test_describe_says_whom_a_policy_concerns(podwright: Podwright, deny: None) -> None:
    out = podwright("describe", "networkpolicy", "deny").out
    assert "Ingress of: default/db\nEgress of: no pod\n" in out


def test_a_policy_of_a_tier_that_is_gone_denies_and_says_so(podwright: Podwright, client: Client) -> None:
    client.apply(
        manifest(calico("GlobalNetworkPolicy", "lost", {"tier": "gone", "selector": "app == 'db'", "ingress": [{"action": "Allow"}]}))
    )
    assert 'Broken: spec.tier: there is no tier "gone"; it denies instead' in podwright("describe", "gnp", "lost").out
    assert (
        'GlobalNetworkPolicy lost cannot be enforced: spec.tier: there is no tier "gone"' in podwright("policy", "explain", "web", "db").out
    )
