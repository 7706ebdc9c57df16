"""Conformance cases as data, and what every runner of them needs: objects after each step, and who reaches whom then.

A case is a list of steps over one topology, three namespaces x, y, z with three pods a, b, c each. A step applies and
deletes objects, then says what is expected, in order, the last word counts:

    - name: stacked policies
      steps:
      - apply: [{kind: NetworkPolicy, name: x/deny, spec: {podSelector: {}, policyTypes: [Ingress]}}]
        expect: [deny * > x/*, allow y/* > x/a, "udp/81: deny * > *"]

All is allowed until something is denied; a pod with itself is not asked. `<x/a>` in a spec is that pod's address,
`<x/a/24>` the network of 256 addresses around it, whatever the family. A runner brings the addresses: case by case one
unit test, and one kernel test for each family, datapath and order of events.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]
Address = IPv4Address | IPv6Address

NAMESPACES, PODS = ("x", "y", "z"), ("a", "b", "c")
EVERY_POD = tuple(f"{namespace}/{pod}" for namespace in NAMESPACES for pod in PODS)
PROTOCOLS = ("tcp", "udp", "sctp")
PORTS = (80, 81)

_VERSIONS = {
    "Namespace": "v1",
    "Pod": "v1",
    "ServiceAccount": "v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "ClusterNetworkPolicy": "policy.networking.k8s.io/v1alpha2",
}
_PLACEHOLDER = re.compile(r"<(out|[a-z0-9-]+/[a-z0-9-]+)(?:/(\d+))?>")
_EXPECTATION = re.compile(r"(?:(tcp|udp|sctp)/(\d+): )?(allow|deny) (\S+) > (\S+)")


@dataclass(frozen=True, slots=True, order=True)
class Probe:
    protocol: str
    port: int

    def __str__(self) -> str:
        return f"{self.protocol}/{self.port}"


EVERY_PROBE = tuple(Probe(protocol, port) for port in PORTS for protocol in PROTOCOLS)


@dataclass(frozen=True, slots=True)
class Expectation:
    """`probe` None: for all. Source and destination are patterns over `namespace/pod`; `out` is a host outside."""

    is_allowed: bool
    source: str
    destination: str
    probe: Probe | None = None

    def speaks_of(self, source: str, destination: str, probe: Probe) -> bool:
        is_probe = self.probe is None or self.probe == probe
        return is_probe and fnmatchcase(source, self.source) and fnmatchcase(destination, self.destination)


@dataclass(frozen=True, slots=True)
class Step:
    """`apply` in short form; `delete` names objects by kind and name: NetworkPolicy x/deny."""

    apply: tuple[Document, ...] = ()
    delete: tuple[str, ...] = ()
    expect: tuple[Expectation, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    source: str
    destination: str
    probe: Probe

    def __str__(self) -> str:
        return f"{self.source} > {self.destination} {self.probe}"


@dataclass(frozen=True, slots=True)
class State:
    """What stands after a step, as manifests by identity, and what is expected of it."""

    objects: Mapping[str, Document]
    expected: Mapping[Question, bool]

    @property
    def manifest(self) -> str:
        return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(self.objects.values())})


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    steps: tuple[Step, ...]
    pods: tuple[str, ...] = EVERY_POD
    probes: tuple[Probe, ...] = (Probe("tcp", 80), Probe("tcp", 81))
    has_outside: bool = False

    @property
    def places(self) -> tuple[str, ...]:
        return (*self.pods, *(("out",) if self.has_outside else ()))

    def topology(self) -> dict[str, Document]:
        namespaces = [namespace(name, {"ns": name}) for name in sorted({pod.partition("/")[0] for pod in self.pods})]
        return {identity(document): document for document in (*namespaces, *map(pod, self.pods))}

    def states(self, addresses: Mapping[str, Address]) -> Iterator[State]:
        """After each step. `addresses` of all places, of one family."""
        objects = self.topology()
        for step in self.steps:
            for name in step.delete:
                del objects[name]
            for short in step.apply:
                document = filled(expanded(short, objects), addresses)
                objects[identity(document)] = document
            yield State(dict(objects), self._expected(step, objects))

    def _expected(self, step: Step, objects: Mapping[str, Document]) -> dict[Question, bool]:
        there = [place for place in self.places if place == "out" or f"Pod {place}" in objects]
        expected = {}
        for source in there:
            for destination in there:
                for probe in self.probes:
                    if source != destination:
                        said = [e.is_allowed for e in step.expect if e.speaks_of(source, destination, probe)]
                        expected[Question(source, destination, probe)] = said[-1] if said else True
        return expected


def namespace(name: str, labels: Mapping[str, str]) -> Document:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels)}}


def pod(place: str, labels: Mapping[str, str] | None = None, ports: Sequence[Document] | None = None) -> Document:
    """`ports` None: 80 and 81 of every protocol, each with a name such as serve-80-tcp."""
    space, _, name = place.partition("/")
    named = [
        {"name": f"serve-{probe.port}-{probe.protocol}", "containerPort": probe.port, "protocol": probe.protocol.upper()}
        for probe in EVERY_PROBE
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": space, "labels": {"pod": name} if labels is None else dict(labels)},
        "spec": {"containers": [{"name": "main", "ports": list(named if ports is None else ports)}]},
    }


def identity(document: Document) -> str:
    """As a case's `delete` names it: "NetworkPolicy x/deny", "CalicoNetworkPolicy x/deny", "Tier first"."""
    metadata, kind = document["metadata"], document["kind"]
    prefix = "Calico" if kind == "NetworkPolicy" and "projectcalico" in document["apiVersion"] else ""
    return f"{prefix}{kind} " + "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))


def expanded(short: Document, objects: Mapping[str, Document]) -> Document:
    """{kind, name: namespace/name, spec, labels}; of a pod that is there, what is not said stays."""
    space, _, name = short["name"].rpartition("/")
    known = objects.get(f"{short['kind']} {short['name']}")
    if short["kind"] == "Pod":
        ports = short.get("ports", known["spec"]["containers"][0]["ports"] if known else None)
        document = pod(short["name"], short.get("labels", known["metadata"]["labels"] if known else None), ports)
        spec = {"serviceAccountName": short["account"]} if "account" in short else {}
        return {**document, "spec": {**document["spec"], **spec}}
    metadata = {"name": name, **({"namespace": space} if space else {}), **({"labels": short["labels"]} if "labels" in short else {})}
    version = _VERSIONS.get(short["kind"], "projectcalico.org/v3")
    document = {"apiVersion": version, "kind": short["kind"].removeprefix("Calico"), "metadata": metadata}
    return {**document, "spec": short["spec"]} if "spec" in short else document


def filled(document: Document, addresses: Mapping[str, Address]) -> Document:
    """With addresses and networks in place of what stands for them."""

    def text(found: re.Match[str]) -> str:
        address = addresses[found[1]]
        if found[2] is None:
            return str(address)
        return str(ip_network((address, address.max_prefixlen - 32 + int(found[2])), strict=False))

    result: Document = json.loads(_PLACEHOLDER.sub(text, json.dumps(document)))
    return result


def expectation(text: str) -> Expectation:
    found = _EXPECTATION.fullmatch(text)
    assert found is not None, f"not an expectation: {text}"
    protocol, port, word, source, destination = found.groups()
    return Expectation(word == "allow", source, destination, Probe(protocol, int(port)) if protocol else None)


@cache
def load(file: Path) -> tuple[Case, ...]:
    """The cases of one file."""
    return tuple(_case(raw) for raw in yaml.safe_load(file.read_text(encoding="utf-8")))


def _case(raw: Document) -> Case:
    probes = tuple(Probe(protocol, int(port)) for protocol, _, port in (text.partition("/") for text in raw.get("probes", ())))
    steps = tuple(
        Step(tuple(step.get("apply", ())), tuple(step.get("delete", ())), tuple(map(expectation, step.get("expect", ()))))
        for step in raw["steps"]
    )
    defaults = Case("", ())
    return Case(raw["name"], steps, tuple(raw.get("pods", EVERY_POD)), probes or defaults.probes, raw.get("outside", False))
