"""Random policies of every kind, as manifests: few names, so that they meet."""

from __future__ import annotations

from random import Random
from typing import Any

Document = dict[str, Any]
CIDRS = ("10.1.0.0/29", "10.1.0.4/30", "0.0.0.0/0", "fd00::/125", "192.0.2.0/24", "::/0")


class Documents:
    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def world(self) -> list[Document]:
        """Namespaces, pods, sets, tiers and policies."""
        return [
            *({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"ns": name}}} for name in "xy"),
            *(self.pod(namespace, name) for namespace in "xy" for name in "abc"),
            *(self.nets(n) for n in range(self.random.randint(0, 2))),
            {**self.meta("Tier", "first"), "spec": {"order": 10.0, "defaultAction": self.pick("Deny", "Pass")}},
            *(self.policy(n) for n in range(self.random.randint(1, 5))),
        ]

    def pick(self, *among: Any) -> Any:
        return self.random.choice(among)

    def chance(self, of: float) -> bool:
        return self.random.random() < of

    def meta(self, kind: str, name: str, namespace: str = "", version: str = "projectcalico.org/v3") -> Document:
        return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **({"namespace": namespace} if namespace else {})}}

    def pod(self, namespace: str, name: str) -> Document:
        port = {"name": "web", "containerPort": self.pick(80, 81), "protocol": self.pick("TCP", "UDP")}
        labels = {"pod": name, **({"role": self.pick("r", "s")} if self.chance(0.6) else {})}
        document = self.meta("Pod", name, namespace, "v1")
        document["metadata"]["labels"] = labels
        spec = {"containers": [{"name": "main", "ports": [port]}], **({"serviceAccountName": "robot"} if self.chance(0.3) else {})}
        return {**document, "spec": spec}

    def nets(self, number: int) -> Document:
        document = self.meta("GlobalNetworkSet", f"nets{number}")
        document["metadata"]["labels"] = {"role": "r"}
        return {**document, "spec": {"nets": [self.pick(*CIDRS)]}}

    def policy(self, number: int) -> Document:
        return self.pick(self.kubernetes, self.calico, self.calico, self.calico_global, self.cluster)(f"p{number}")

    def labels(self) -> Document:
        return self.pick(
            {},
            {"matchLabels": {"pod": self.pick(*"abc")}},
            {"matchExpressions": [{"key": "role", "operator": self.pick("Exists", "DoesNotExist")}]},
            {"matchExpressions": [{"key": "pod", "operator": self.pick("In", "NotIn"), "values": ["a", "c"]}]},
        )

    def spaces(self) -> Document:
        return self.pick(
            {}, {"matchLabels": {"ns": self.pick("x", "y")}}, {"matchExpressions": [{"key": "ns", "operator": "NotIn", "values": ["x"]}]}
        )

    # -- Kubernetes -------------------------------------------------------------------------------------------

    def kubernetes(self, name: str) -> Document:
        document = self.meta("NetworkPolicy", name, self.pick("x", "y"), "networking.k8s.io/v1")
        spec: Document = {"podSelector": self.labels(), "policyTypes": self.pick(["Ingress"], ["Egress"], ["Ingress", "Egress"])}
        for field, peers in (("ingress", "from"), ("egress", "to")):
            rules = []
            for _ in range(self.random.randint(0, 2)):
                rule: Document = {}
                if self.chance(0.8):
                    rule[peers] = [self.kubernetes_peer() for _ in range(self.random.randint(1, 2))]
                if self.chance(0.6):
                    rule["ports"] = [self.kubernetes_port() for _ in range(self.random.randint(1, 2))]
                rules.append(rule)
            spec[field] = rules
        return {**document, "spec": spec}

    def kubernetes_peer(self) -> Document:
        if self.chance(0.3):
            return {"ipBlock": self.pick({"cidr": "10.1.0.0/28", "except": ["10.1.0.2/32"]}, {"cidr": "0.0.0.0/0"}, {"cidr": "fd00::/124"})}
        return self.pick(
            {"podSelector": self.labels()},
            {"namespaceSelector": self.spaces()},
            {"podSelector": self.labels(), "namespaceSelector": self.spaces()},
        )

    def kubernetes_port(self) -> Document:
        port = self.pick({}, {"port": 80}, {"port": "web"}, {"port": 80, "endPort": 90})
        return {**port, "protocol": self.pick("TCP", "UDP", "SCTP")}

    # -- Calico -----------------------------------------------------------------------------------------------

    def selector(self) -> str:
        return str(
            self.pick("all()", "pod == 'a'", "role != 'r'", "has(role)", "pod in {'a', 'b'} && role == 'r'", "!has(role) || pod == 'c'")
        )

    def calico(self, name: str) -> Document:
        return {**self.meta("NetworkPolicy", name, self.pick("x", "y")), "spec": self.calico_spec()}

    def calico_global(self, name: str) -> Document:
        more = {"namespaceSelector": self.pick("ns == 'x'", "all()")} if self.chance(0.4) else {}
        return {**self.meta("GlobalNetworkPolicy", name), "spec": {**self.calico_spec(), **more}}

    def calico_spec(self) -> Document:
        spec: Document = {
            "selector": self.selector(),
            "tier": self.pick("default", "first"),
            "types": self.pick(["Ingress"], ["Egress"], ["Ingress", "Egress"]),
            **({"order": self.pick(1, 5, 2000)} if self.chance(0.7) else {}),
        }
        for field in ("ingress", "egress"):
            if field.capitalize() in spec["types"]:
                spec[field] = [self.calico_rule() for _ in range(self.random.randint(0, 3))]
        return spec

    def calico_rule(self) -> Document:
        rule: Document = {"action": self.pick("Allow", "Allow", "Deny", "Pass", "Log")}
        source, destination = self.end(), self.end()
        if self.chance(0.5):
            rule["protocol"] = self.pick("TCP", "UDP", "SCTP")
            if self.chance(0.7):
                destination[self.pick("ports", "ports", "notPorts")] = self.pick([80], ["80:90"], ["web"], ["web", 81])
            if self.chance(0.2):
                source["ports"] = ["30000:50000"]
        elif self.chance(0.3):
            rule["notProtocol"] = self.pick("TCP", "UDP")
        elif self.chance(0.3):
            rule |= self.pick(
                {"protocol": "ICMP", "ipVersion": 4, "icmp": {"type": 8}},
                {"protocol": "ICMPv6", "ipVersion": 6, "icmp": {"type": 128, "code": 0}},
            )
        elif self.chance(0.2):
            rule["ipVersion"] = self.pick(4, 6)
        for field, end in (("source", source), ("destination", destination)):
            if "ipVersion" in rule:
                end = {name: value for name, value in end.items() if name not in ("nets", "notNets")}  # noqa: PLW2901
            if end:
                rule[field] = end
        return rule

    def end(self) -> Document:
        end: Document = {}
        if self.chance(0.35):
            end["selector"] = self.selector()
        if self.chance(0.15):
            end["namespaceSelector"] = self.pick("ns == 'y'", "all()", "global()")
        if self.chance(0.15):
            end["notSelector"] = self.selector()
        if self.chance(0.2) and not {"selector", "namespaceSelector"} & end.keys():
            end["nets"] = [self.pick(*CIDRS)]
        if self.chance(0.15):
            end["notNets"] = [self.pick(*CIDRS)]
        if self.chance(0.1):
            end["serviceAccounts"] = {"names": ["robot"]}
        return end

    # -- administrators ---------------------------------------------------------------------------------------

    def cluster(self, name: str) -> Document:
        document = self.meta("ClusterNetworkPolicy", name, version="policy.networking.k8s.io/v1alpha2")
        spec: Document = {
            "tier": self.pick("Admin", "Baseline"),
            "priority": self.random.randint(0, 20),
            "subject": self.pick(
                {"namespaces": self.spaces()}, {"pods": {"namespaceSelector": self.spaces(), "podSelector": self.labels()}}
            ),
        }
        for field, peers in (("ingress", "from"), ("egress", "to")):
            rules = [self.cluster_rule(peers) for _ in range(self.random.randint(0, 2))]
            if rules:
                spec[field] = rules
        return {**document, "spec": spec}

    def cluster_rule(self, peers: str) -> Document:
        peer = self.pick({"namespaces": self.spaces()}, {"pods": {"namespaceSelector": self.spaces(), "podSelector": self.labels()}})
        if peers == "to" and self.chance(0.3):
            peer = {"networks": [self.pick(*CIDRS)]}
        rule: Document = {"action": self.pick("Accept", "Deny", "Pass"), peers: [peer]}
        if self.chance(0.5):
            rule["protocols"] = [
                self.pick(
                    {"tcp": {"destinationPort": {"number": 80}}},
                    {"udp": {}},
                    *([] if "networks" in peer else [{"destinationNamedPort": "web"}]),
                )
            ]
        return rule
