"""Another program's reading of NetworkPolicy: cyclonus v0.5.6 simulates the same random policies, and must say the same.

Where it departs from the specification it is not asked: a port's name means the number there whatever the protocol, and
NotIn wants the key to be there.

`go install github.com/mattfenwick/cyclonus/cmd/cyclonus@v0.5.6` puts it into ~/go/bin; without it this is skipped.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.policy.connection import SCTP, TCP, UDP, Connection
from agent.policy.evaluate import Judge
from tests.conformance.worlds import NAMES, SPACES, Maker, addresses, manifest, world

SEEDS = range(100)
PROBES = [(protocol, port) for protocol in ("TCP", "UDP", "SCTP") for port in (80, 81)]
NUMBERS = {"TCP": TCP, "UDP": UDP, "SCTP": SCTP}

pytestmark = [pytest.mark.long, pytest.mark.spawns, pytest.mark.needs("cyclonus")]


def place(pod: dict[str, Any]) -> tuple[str, str]:
    return pod["metadata"]["namespace"], pod["metadata"]["name"]


def with_types(policy: dict[str, Any]) -> dict[str, Any]:
    """As an API server stores it: cyclonus wants to be told."""
    types = ["Ingress", "Egress"] if policy["spec"].get("egress") else ["Ingress"]
    return {**policy, "spec": {"policyTypes": types, **policy["spec"]}}


def tables(output: str) -> Iterator[dict[tuple[str, str], str]]:
    """The cells of every "Combined" table, one for each probe in its order; "." is allowed, "x" denied."""
    for text in output.split("Combined:\n")[1 : 1 + len(PROBES)]:
        rows = [[cell.strip().lower() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
        header, *lines = rows[: 1 + len(SPACES) * len(NAMES)]
        yield {(first, destination): cell for first, *rest in lines for destination, cell in zip(header[1:], rest, strict=True)}


def simulated(documents: list[dict[str, Any]], directory: Path) -> str:
    pods = [document for document in documents if document["kind"] == "Pod"]
    spaces = {d["metadata"]["name"]: d["metadata"]["labels"] for d in documents if d["kind"] == "Namespace"}
    for name, labels in spaces.items():
        labels["kubernetes.io/metadata.name"] = name
    model = {
        "Probes": [{"Protocol": protocol, "Port": port} for protocol, port in PROBES],
        "Resources": {
            "Namespaces": spaces,
            "Pods": [
                {
                    "Namespace": namespace,
                    "Name": name,
                    "Labels": pod["metadata"]["labels"],
                    "IP": str(addresses(namespace, name)[0]),
                    "Containers": [
                        {"Name": "c", "Port": port["containerPort"], "PortName": port["name"], "Protocol": port["protocol"]}
                        for port in pod["spec"]["containers"][0]["ports"]
                    ],
                }
                for pod in pods
                for namespace, name in (place(pod),)
            ],
        },
    }
    policies = [with_types(document) for document in documents if document["kind"] == "NetworkPolicy"]
    (directory / "probe.json").write_text(json.dumps(model))
    (directory / "policies.yaml").write_text(
        json.dumps({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicyList", "items": policies})
    )
    files = ("--policy-path", str(directory / "policies.yaml"), "--probe-path", str(directory / "probe.json"))
    return subprocess.run(
        ["cyclonus", "analyze", "--mode", "probe", *files],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def test_it_reads_random_policies_alike(tmp_path: Path) -> None:
    compared = 0
    for seed in SEEDS:
        documents = json.loads(json.dumps(Maker(seed).kubernetes_documents()).replace('"port": "web"', '"port": 81'))
        judge = Judge(world(documents))
        for (protocol, port), cells in zip(PROBES, tables(simulated(documents, tmp_path)), strict=True):
            for (source, destination), cell in cells.items():
                if source == destination:
                    continue
                ends = (addresses(*source.split("/"))[0], addresses(*destination.split("/"))[0])
                verdict = judge.verdict(Connection(*ends, NUMBERS[protocol], port, 40000))
                said = {".": True, "x": False}[cell]
                compared += 1
                assert verdict.is_allowed is said, f"seed {seed}: {source} to {destination} {protocol}/{port} in\n{manifest(documents)}"
    assert compared == len(SEEDS) * 30 * len(PROBES)
