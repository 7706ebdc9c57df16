"""Random worlds: namespaces, pods here and elsewhere, sets, tiers, profiles and policies of every kind, from one seed.

Names, labels, ports and ranges are few, so that everything meets everything. Two readings of a world are compared on
`questions`; where they differ, `shrunk` takes away whatever the difference does not need and gives a manifest to read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from itertools import product
from random import Random
from typing import Any

from agent.errors import InvalidObject
from agent.objects.attachment import Attachment, PodReference
from agent.objects.decode import decode
from agent.objects.meta import IPAddress, Object, ObjectMeta
from agent.policy.connection import ICMP, ICMPV6, SCTP, TCP, UDP, Connection
from agent.policy.gather import world_of
from agent.policy.world import World

Document = dict[str, Any]

SPACES, NAMES = "xy", "abc"
STRANGERS = {4: ("192.0.2.7", "10.1.0.200"), 6: ("2001:db8::7", "fd00::ff")}
NETS = ("10.1.0.0/29", "10.1.0.2/31", "10.1.0.3", "0.0.0.0/0", "192.0.2.0/24", "fd00::/125", "fd00::3", "::/0", "2001:db8::/64")
NODE = "192.0.2.1"
_VERSIONS = {"NetworkPolicy": "networking.k8s.io/v1", "ClusterNetworkPolicy": "policy.networking.k8s.io/v1alpha2"}
_FAMILY_PROTOCOLS = ({"protocol": "ICMP", "ipVersion": 4}, {"protocol": "ICMPv6", "ipVersion": 6}, {"protocol": "ICMP"}, {"protocol": 58})


def manifest(documents: Sequence[Document]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)})


def world(documents: Sequence[Document]) -> World:
    """Pods of this node get addresses by their place in the list. Raises InvalidObject."""
    objects: list[Object] = [found.object for found in decode(manifest(documents))] if documents else []
    attached = []
    for document in documents:
        if document["kind"] == "Pod" and document["spec"].get("nodeName", "here") == "here":
            namespace, name = document["metadata"]["namespace"], document["metadata"]["name"]
            reference = PodReference(namespace=namespace, name=name)
            attached.append(
                Attachment(metadata=ObjectMeta(name=f"{namespace}-{name}"), pod=reference, addresses=addresses(namespace, name))
            )
    return world_of([*objects, *attached], node_name="here", node_addresses=(ip_address(NODE),))


def addresses(namespace: str, name: str) -> tuple[IPAddress, ...]:
    number = 1 + SPACES.index(namespace) * len(NAMES) + NAMES.index(name)
    return ip_address(f"10.1.0.{number}"), ip_address(f"fd00::{number}")


def questions(found: World) -> Iterator[Connection]:
    """Every pair of pods and strangers, on every protocol and port that a generated rule may tell apart."""
    for family in (4, 6):
        ours = [address for endpoint in found.endpoints for address in endpoint.addresses if address.version == family]
        everyone = list(dict.fromkeys((*ours, *map(ip_address, STRANGERS[family]))))
        icmp, echo = {4: (ICMP, 8), 6: (ICMPV6, 128)}[family]
        for source, destination in product(everyone, everyone):
            if source == destination:
                continue
            for protocol, port in product((TCP, UDP, SCTP), (80, 81, 95)):
                yield Connection(source, destination, protocol, port, 40000)
            yield Connection(source, destination, TCP, 80, 81)
            for type_, code in ((echo, 0), (3, 1)):
                yield Connection(source, destination, icmp, icmp_type=type_, icmp_code=code)
            yield Connection(source, destination, 47)


class Maker:
    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def documents(self) -> list[Document]:
        return [
            *(self._named("Namespace", name, labels={"ns": name, **self._maybe(0.3, {"team": "t"})}) for name in SPACES),
            *(self._pod(namespace, name) for namespace in SPACES for name in NAMES),
            self._named("ServiceAccount", "x/robot", labels={"kind": "robot"}),
            *(self._set(number) for number in range(self._random.randint(0, 2))),
            self._named("Tier", "first", {"order": self._pick(10.0, 5_000_000.0), "defaultAction": self._pick("Deny", "Pass")}),
            *(self._profile(namespace) for namespace in SPACES if self._chance(0.1)),
            *(self._policy(f"p{number}") for number in range(self._random.randint(1, 5))),
        ]

    def kubernetes_documents(self) -> list[Document]:
        """Only what another reader of NetworkPolicy knows: every pod here, with every port of the questions and one name."""
        spaces = [self._named("Namespace", name, labels={"ns": name, **self._maybe(0.3, {"team": "t"})}) for name in SPACES]
        pods = [self._serving(namespace, name) for namespace in SPACES for name in NAMES]
        return [*spaces, *pods, *(self._kubernetes(f"p{number}") for number in range(self._random.randint(1, 4)))]

    # -- who is there -------------------------------------------------------------------------------------------

    def _pod(self, namespace: str, name: str) -> Document:
        labels = {"pod": name, **self._maybe(0.6, {"role": self._pick("r", "s", "rs")})}
        ports = [{"name": "web", "containerPort": self._pick(80, 81), "protocol": self._pick("TCP", "UDP")}]
        spec: Document = {"containers": [{"name": "main", "ports": ports}], **self._maybe(0.3, {"serviceAccountName": "robot"})}
        document = self._named("Pod", f"{namespace}/{name}", spec, labels)
        if self._chance(0.2):
            spec["nodeName"] = "there"
            document["status"] = {"podIPs": [{"ip": str(address)} for address in addresses(namespace, name)]}
        if self._chance(0.05):
            document["status"] = {**document.get("status", {}), "phase": "Succeeded"}
        return document

    def _serving(self, namespace: str, name: str) -> Document:
        labels = {"pod": name, "role": self._pick("r", "s", "rs")}  # always: to cyclonus, NotIn wants the key to be there
        web = self._pick(80, 81), self._pick("TCP", "UDP")
        ports = [
            {"name": "web" if (port, protocol) == web else f"n-{port}-{protocol.lower()}", "containerPort": port, "protocol": protocol}
            for port, protocol in product((80, 81), ("TCP", "UDP", "SCTP"))
        ]
        return self._named("Pod", f"{namespace}/{name}", {"containers": [{"name": "main", "ports": ports}]}, labels)

    def _set(self, number: int) -> Document:
        kind, name = self._pick(("GlobalNetworkSet", f"s{number}"), ("NetworkSet", f"{self._pick(*SPACES)}/s{number}"))
        return self._named(kind, name, {"nets": self._some(NETS, 2)}, {"role": self._pick("r", "s")})

    def _profile(self, namespace: str) -> Document:
        rules = {way: [rule for rule in self._rules() if rule["action"] != "Pass"] for way in ("ingress", "egress")}
        return self._named("Profile", f"kns.{namespace}", {**rules, "labelsToApply": {"pcns.ns": self._pick(*SPACES)}})

    # -- policies -----------------------------------------------------------------------------------------------

    def _policy(self, name: str) -> Document:
        make = self._pick(self._kubernetes, self._kubernetes, self._calico, self._calico, self._calico_global, self._cluster)
        document: Document = make(name)
        return document

    def _kubernetes(self, name: str) -> Document:
        spec: Document = {"podSelector": self._label_selector()}
        if self._chance(0.7):
            spec["policyTypes"] = self._types()
        for way, peers in (("ingress", "from"), ("egress", "to")):
            spec[way] = [
                {
                    **self._maybe(0.8, {peers: [self._peer() for _ in range(self._random.randint(0, 2))]}),
                    **self._maybe(0.6, {"ports": [self._port() for _ in range(self._random.randint(1, 2))]}),
                }
                for _ in range(self._random.randint(0, 2))
            ]
        return self._named("NetworkPolicy", f"{self._pick(*SPACES)}/{name}", spec)

    def _peer(self) -> Document:
        if self._chance(0.3):
            block = self._pick(
                ("10.1.0.0/28", ["10.1.0.2/32"]), ("0.0.0.0/0", ["10.1.0.0/30", "192.0.2.0/24"]), ("fd00::/124", ["fd00::3"])
            )
            return {"ipBlock": {"cidr": block[0], **self._maybe(0.7, {"except": block[1]})}}
        fields = {"podSelector": self._label_selector(), "namespaceSelector": self._space_selector()}
        chosen = self._pick(("podSelector",), ("namespaceSelector",), ("podSelector", "namespaceSelector"))
        return {name: fields[name] for name in chosen}

    def _port(self) -> Document:
        return {**self._pick({}, {"port": 80}, {"port": "web"}, {"port": 80, "endPort": 90}), "protocol": self._pick("TCP", "UDP", "SCTP")}

    def _calico(self, name: str) -> Document:
        return self._named("CalicoNetworkPolicy", f"{self._pick(*SPACES)}/{name}", self._calico_spec())

    def _calico_global(self, name: str) -> Document:
        spec = {**self._calico_spec(), **self._maybe(0.4, {"namespaceSelector": self._pick("ns == 'x'", "all()", "has(team)")})}
        if self._chance(0.05):
            spec |= {"doNotTrack": True, "applyOnForward": True}
        return self._named("GlobalNetworkPolicy", name, spec)

    def _calico_spec(self) -> Document:
        return {
            "selector": self._selector(),
            "tier": self._pick("default", "first"),
            **self._maybe(0.7, {"order": self._pick(1, 5.5, 2000)}),
            **self._maybe(0.7, {"types": self._types()}),
            **self._maybe(0.15, {"serviceAccountSelector": self._pick("kind == 'robot'", "!has(kind)")}),
            "ingress": self._rules(),
            "egress": self._rules(),
        }

    def _rules(self) -> list[Document]:
        return [self._rule() for _ in range(self._random.randint(0, 3))]

    def _rule(self) -> Document:
        rule: Document = {"action": self._pick("Allow", "Allow", "Deny", "Pass", "Log")}
        source, destination = self._end(), self._end()
        kind = self._random.random()
        if kind < 0.45:
            rule["protocol"] = self._pick("TCP", "udp", 132)
            ports = self._pick([80], ["80:90"], ["web"], ["web", 81])
            destination |= self._maybe(0.7, {self._pick("ports", "ports", "notPorts"): ports})
            source |= self._maybe(0.2, {self._pick("ports", "notPorts"): self._pick(["30000:50000"], ["web"])})
        elif kind < 0.55:
            rule["notProtocol"] = self._pick("TCP", "UDP", 1)
        elif kind < 0.7:
            rule |= self._pick(*_FAMILY_PROTOCOLS)
            rule |= self._maybe(
                0.6, {self._pick("icmp", "notICMP"): self._pick({"type": 8}, {"type": 128, "code": 0}, {"type": 3, "code": 1})}
            )
        elif kind < 0.8:
            rule["ipVersion"] = self._pick(4, 6)
        for way, end in (("source", source), ("destination", destination)):
            if fitting := dict(_fitting(end, rule.get("ipVersion"))):
                rule[way] = fitting
        return rule

    def _end(self) -> Document:
        return {
            **self._maybe(0.35, {"selector": self._selector()}),
            **self._maybe(
                0.15, {"namespaceSelector": self._pick("ns == 'y'", "all()", "global()", "!has(team)", "ns in {'x'} || global()")}
            ),
            **self._maybe(0.15, {"notSelector": self._selector()}),
            **self._maybe(0.15, {"nets": self._some(NETS, 2)}),
            **self._maybe(0.15, {"notNets": self._some(NETS, 1)}),
            **self._maybe(0.1, {"serviceAccounts": self._pick({"names": ["robot"]}, {"selector": "kind == 'robot'"})}),
        }

    def _selector(self) -> str:
        atoms = (
            "all()",
            "pod == 'a'",
            "pod != 'b'",
            "has(role)",
            "!has(role)",
            "pod in {'a', 'b'}",
            "role not in {'r'}",
            "role contains 's'",
        )
        more = ("role starts with 'r'", "role ends with 's'", "pcns.ns == 'x'", "projectcalico.org/namespace == 'y'")
        one, other = self._pick(*atoms, *more), self._pick(*atoms)
        return str(self._pick(one, one, one, f"{one} && {other}", f"{one} || {other}", f"!({one} || {other})"))

    def _cluster(self, name: str) -> Document:
        spec: Document = {"tier": self._pick("Admin", "Baseline"), "priority": self._random.randint(0, 20), "subject": self._cluster_pods()}
        for way, peers in (("ingress", "from"), ("egress", "to")):
            spec[way] = [self._cluster_rule(peers) for _ in range(self._random.randint(0, 2))]
        return self._named("ClusterNetworkPolicy", name, spec)

    def _cluster_pods(self) -> Document:
        pods = {"namespaceSelector": self._space_selector(), "podSelector": self._label_selector()}
        return self._pick({"namespaces": self._space_selector()}, {"pods": pods})  # type: ignore[no-any-return]

    def _cluster_rule(self, peers: str) -> Document:
        found = [
            {"networks": self._some(NETS, 2)} if peers == "to" and self._chance(0.3) else self._cluster_pods()
            for _ in range(self._random.randint(1, 2))
        ]
        port: Document = self._pick({}, {"destinationPort": {"number": 80}}, {"destinationPort": {"range": {"start": 80, "end": 90}}})
        protocols: list[Document] = [{self._pick("tcp", "udp", "sctp"): port}]
        if not any("networks" in peer for peer in found):
            protocols.append({"destinationNamedPort": "web"})
        return {"action": self._pick("Accept", "Deny", "Pass"), peers: found, **self._maybe(0.5, {"protocols": [self._pick(*protocols)]})}

    # -- small change -------------------------------------------------------------------------------------------

    def _named(self, kind: str, place: str, spec: Document | None = None, labels: Mapping[str, str] | None = None) -> Document:
        namespace, _, name = place.rpartition("/")
        metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **({"labels": dict(labels)} if labels else {})}
        version = "v1" if kind in ("Namespace", "Pod", "ServiceAccount") else _VERSIONS.get(kind, "projectcalico.org/v3")
        document: Document = {"apiVersion": version, "kind": kind.removeprefix("Calico"), "metadata": metadata}
        return document if spec is None else {**document, "spec": spec}

    def _label_selector(self) -> Document:
        key, values = "role", ["r"]
        expression = {"key": key, "operator": self._pick("In", "NotIn"), "values": values}
        presence = {"key": key, "operator": self._pick("Exists", "DoesNotExist")}
        found: Document = self._pick(
            {}, {"matchLabels": {"pod": self._pick(*NAMES)}}, {"matchExpressions": [self._pick(expression, presence)]}
        )
        return found

    def _space_selector(self) -> Document:
        by_name = {"matchLabels": {"kubernetes.io/metadata.name": self._pick(*SPACES)}}
        presence = {"key": "team", "operator": self._pick("Exists", "DoesNotExist")}
        value = {"key": "ns", "operator": self._pick("In", "NotIn"), "values": [self._pick(*SPACES)]}
        expression = {"matchExpressions": [self._pick(presence, value)]}
        found: Document = self._pick({}, {"matchLabels": {"ns": self._pick(*SPACES)}}, by_name, expression)
        return found

    def _types(self) -> list[str]:
        found: list[str] = self._pick(["Ingress"], ["Egress"], ["Ingress", "Egress"])
        return found

    def _some(self, among: Sequence[str], most: int) -> list[str]:
        return self._random.sample(list(among), self._random.randint(1, most))

    def _maybe(self, of: float, fields: Document) -> Document:
        return fields if self._chance(of) else {}

    def _chance(self, of: float) -> bool:
        return self._random.random() < of

    def _pick(self, *among: Any) -> Any:
        return self._random.choice(among)


def _fitting(end: Document, family: int | None) -> Iterator[tuple[str, Any]]:
    """Without networks that a rule of one family may not name."""
    for name, value in end.items():
        if name not in ("nets", "notNets"):
            yield name, value
        elif nets := [net for net in value if family in (None, ip_network(net).version)]:
            yield name, nets


# -- a small world that shows the same ------------------------------------------------------------------------------------


def shrunk(documents: Sequence[Document], is_wrong: Callable[[Sequence[Document]], bool]) -> list[Document]:
    """Without every object and field that the difference does not need. What the agent would refuse is no answer."""

    def still(candidate: Sequence[Document]) -> bool:
        try:
            return is_wrong(candidate)
        except InvalidObject:
            return False

    current = list(documents)
    while (smaller := next((one for one in _smaller(current) if still(one)), None)) is not None:
        current = smaller
    return current


def _smaller(documents: list[Document]) -> Iterator[list[Document]]:
    for index in range(len(documents)):
        yield documents[:index] + documents[index + 1 :]
    for index, document in enumerate(documents):
        for part in ("spec", "status"):
            for less in _less(document.get(part)):
                yield [*documents[:index], {**document, part: less}, *documents[index + 1 :]]


def _less(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield {key: kept for key, kept in value.items() if key != name}
            yield from ({**value, name: less} for less in _less(inner))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield value[:index] + value[index + 1 :]
            yield from ([*value[:index], less, *value[index + 1 :]] for less in _less(inner))
