"""What was going on when the agent was killed: each scenario is one operation, as its user does it and repeats it.

prepare     what is there before
act         the operation, until it is done or the agent is dead (then it raises PodwrightError)
retry       what the user does when nothing came back; afterwards the operation must have succeeded
problems    what shows that it has not
undo        back to where `prepare` began
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from ipaddress import ip_interface
from pathlib import Path
from typing import Any, ClassVar, Protocol

from agent.objects.attachment import AttachmentKey
from tests.chaos.stage import NODE_ADDRESSES, PORT, Stage, addresses, unanswered
from tests.prober import NODE, ask
from tests.runtime.network_namespace import NetworkNamespace

VICTIM, VICTIM_PORT = "victim", 8090
CONTAINER, NETWORK, IFNAME = "container-1", "pods", "eth0"
KEY = AttachmentKey(NETWORK, CONTAINER, IFNAME)


class Scenario(Protocol):
    """`optional`: attachments that may be there or not while the outcome is open; `containers`: after `retry`."""

    name: ClassVar[str]
    optional: ClassVar[frozenset[AttachmentKey]]
    containers: ClassVar[frozenset[AttachmentKey]]

    def prepare(self, stage: Stage) -> None: ...
    def act(self, stage: Stage) -> None: ...
    def retry(self, stage: Stage) -> None: ...
    def problems(self, stage: Stage) -> list[str]: ...
    def undo(self, stage: Stage) -> None: ...


class PodCreated:
    name: ClassVar[str] = "pod created"
    optional: ClassVar[frozenset[AttachmentKey]] = frozenset()
    containers: ClassVar[frozenset[AttachmentKey]] = frozenset()

    def prepare(self, stage: Stage) -> None:
        pass

    def act(self, stage: Stage) -> None:
        stage.make_pod(VICTIM, VICTIM_PORT)

    def retry(self, stage: Stage) -> None:
        self.act(stage)

    def problems(self, stage: Stage) -> list[str]:
        pod = stage.pod(VICTIM)
        return unanswered(stage.place(pod), addresses(pod), VICTIM_PORT) if pod else ["the pod is gone"]

    def undo(self, stage: Stage) -> None:
        stage.delete_pod(VICTIM)


class PodDeleted:
    name: ClassVar[str] = "pod deleted"
    optional: ClassVar[frozenset[AttachmentKey]] = frozenset()
    containers: ClassVar[frozenset[AttachmentKey]] = frozenset()

    def prepare(self, stage: Stage) -> None:
        """Used, so that there are connections to forget."""
        pod = stage.make_pod(VICTIM, VICTIM_PORT)
        assert unanswered(stage.place(pod), addresses(pod), VICTIM_PORT) == []

    def act(self, stage: Stage) -> None:
        stage.delete_pod(VICTIM)

    def retry(self, stage: Stage) -> None:
        self.act(stage)

    def problems(self, stage: Stage) -> list[str]:
        return still_answering(VICTIM_PORT)

    def undo(self, stage: Stage) -> None:
        pass


@dataclass
class _OfRuntime:
    """A container's sandbox as a runtime makes it; every ADD and DEL is a request of its own."""

    netns: NetworkNamespace
    added: dict[str, Any] = field(default_factory=dict)

    def call(self, stage: Stage, command: str) -> dict[str, Any]:
        environment = {
            "COMMAND": command,
            "CONTAINERID": CONTAINER,
            "NETNS": str(self.netns.path),
            "IFNAME": IFNAME,
            "PATH": "/opt/cni/bin",
        }
        packed = "".join(f"CNI_{name}={value}\0" for name, value in environment.items()) + "\0"
        ports = [{"hostPort": VICTIM_PORT, "containerPort": PORT, "protocol": protocol} for protocol in ("tcp", "udp")]
        config = {"cniVersion": "1.1.0", "name": NETWORK, "type": "podwright", "runtimeConfig": {"portMappings": ports}}
        body = stage.agent.client.request("POST", "/cni", None, packed.encode() + json.dumps(config).encode()).body
        answer: dict[str, Any] = json.loads(body or "{}")
        assert "code" not in answer, f"CNI {command}: {answer}\n{stage.agent.tail()}"
        return answer

    def add(self, stage: Stage) -> None:
        self.added = self.call(stage, "ADD")

    def delete(self, stage: Stage) -> None:
        self.call(stage, "DEL")

    def add_problems(self) -> list[str]:
        own = tuple(str(ip_interface(entry["address"]).ip) for entry in self.added["ips"])
        return unanswered(Path(self.netns.path), own, VICTIM_PORT)


class CniAdd(_OfRuntime):
    """A runtime that got no answer to ADD sends DEL before it tries again."""

    name: ClassVar[str] = "CNI ADD"
    optional: ClassVar[frozenset[AttachmentKey]] = frozenset({KEY})
    containers: ClassVar[frozenset[AttachmentKey]] = frozenset({KEY})

    def prepare(self, stage: Stage) -> None:
        pass

    def act(self, stage: Stage) -> None:
        self.add(stage)

    def retry(self, stage: Stage) -> None:
        self.delete(stage)
        self.add(stage)

    def problems(self, stage: Stage) -> list[str]:
        return self.add_problems()

    def undo(self, stage: Stage) -> None:
        self.delete(stage)


class CniDel(_OfRuntime):
    name: ClassVar[str] = "CNI DEL"
    optional: ClassVar[frozenset[AttachmentKey]] = frozenset({KEY})
    containers: ClassVar[frozenset[AttachmentKey]] = frozenset()

    def prepare(self, stage: Stage) -> None:
        self.add(stage)
        assert self.add_problems() == []

    def act(self, stage: Stage) -> None:
        self.delete(stage)

    def retry(self, stage: Stage) -> None:
        self.act(stage)

    def problems(self, stage: Stage) -> list[str]:
        left = self.netns.links() - {"lo"}
        return [f"the container still has {link}" for link in left] + still_answering(VICTIM_PORT)

    def undo(self, stage: Stage) -> None:
        pass


def still_answering(host_port: int) -> list[str]:
    """A host port that was given back is the node's own again: refused at once, as nothing listens."""
    return [f"{address} port {host_port} still answers" for address in NODE_ADDRESSES if ask(NODE, "tcp", address, host_port)]
