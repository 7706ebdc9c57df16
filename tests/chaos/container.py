"""A container's sandbox as a runtime makes it: its own namespace, and one request to POST /cni for each ADD and DEL."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from ipaddress import ip_interface
from typing import Any

from agent.network import datapath
from agent.objects.attachment import AttachmentKey
from tests.chaos.stage import PORT, Stage, unanswered
from tests.runtime.network_namespace import NetworkNamespace

NETWORK, IFNAME = "pods", "eth0"


@dataclass
class Container:
    netns: NetworkNamespace
    id: str = "container-1"
    host_port: int = 8090
    added: dict[str, Any] = field(default_factory=dict)
    """The result of the last ADD."""

    @property
    def key(self) -> AttachmentKey:
        return AttachmentKey(NETWORK, self.id, IFNAME)

    @property
    def host_link(self) -> str:
        return datapath.host_ifname(self.key)

    def add(self, stage: Stage) -> None:
        self.added = self._call(stage, "ADD")

    def delete(self, stage: Stage) -> None:
        self._call(stage, "DEL")

    def unanswered(self) -> list[str]:
        own = tuple(str(ip_interface(entry["address"]).ip) for entry in self.added["ips"])
        return unanswered(self.netns.path, own, self.host_port)

    def _call(self, stage: Stage, command: str) -> dict[str, Any]:
        path = str(self.netns.path)
        environment = {"COMMAND": command, "CONTAINERID": self.id, "NETNS": path, "IFNAME": IFNAME, "PATH": "/opt/cni/bin"}
        packed = "".join(f"CNI_{name}={value}\0" for name, value in environment.items()) + "\0"
        ports = [{"hostPort": self.host_port, "containerPort": PORT, "protocol": protocol} for protocol in ("tcp", "udp")]
        config = {"cniVersion": "1.1.0", "name": NETWORK, "type": "podwright", "runtimeConfig": {"portMappings": ports}}
        body = stage.agent.client.request("POST", "/cni", None, packed.encode() + json.dumps(config).encode()).body
        answer: dict[str, Any] = json.loads(body or "{}")
        assert "code" not in answer, f"CNI {command}: {answer}\n{stage.agent.tail()}"
        return answer
