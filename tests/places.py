"""Where tests stand: in pods, on the node, outside of it, and in namespaces made for one test."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

from agent.kernel import libc
from agent.network import datapath, node
from agent.objects.attachment import AttachmentKey
from agent.objects.meta import IPAddress
from tests.fresh import shell
from tests.prober import inside
from tests.running import PATIENCE, RunningAgent

OUTSIDE = Path(os.environ.get("PODWRIGHT_OUTSIDE", "/nonexistent"))
NODE_ADDRESS = {4: "192.0.2.11", 6: "2001:db8::11"}
OUTSIDE_ADDRESS = {4: "198.51.100.1", 6: "2001:db8:1::1"}
UPLINK, SEGMENT = "uplink", "segment"
"""The node's link to the outside, and the bridge it meets there."""
T = TypeVar("T")


@dataclass(frozen=True)
class Pod:
    name: str
    place: Path
    addresses: dict[int, str]
    host_link: str

    def address(self, family: int) -> IPAddress:
        return ip_address(self.addresses[family])

    @property
    def mac(self) -> str:
        return node.mac_of([ip_address(address) for address in self.addresses.values()])


def pod_of(agent: RunningAgent, found: Mapping[str, Any]) -> Pod:
    name, uid = found["metadata"]["name"], found["metadata"]["uid"]
    addresses: dict[int, str] = {ip_address(entry["ip"]).version: entry["ip"] for entry in found["status"]["podIPs"]}
    return Pod(name, agent.namespace_of(found), addresses, datapath.host_ifname(AttachmentKey("podwright", uid, "eth0")))


def make_pods(agent: RunningAgent, *manifests: str) -> list[Pod]:
    """Apply them and wait until the agent says that these pods, and no others, stand. In order of their names."""
    agent.apply("\n---\n".join(manifests))
    return [pod_of(agent, found) for found in agent.wait_for_pods(len(manifests))]


def delete_pods(agent: RunningAgent, *names: str) -> None:
    """And wait until they are gone."""
    for name in names:
        agent.client.request("DELETE", f"/api/v1/namespaces/default/pods/{name}")
    eventually(lambda: not {pod["metadata"]["name"] for pod in agent.client.get("/api/v1/namespaces/default/pods")["items"]} & set(names))


def manifest(name: str, *ports: str) -> str:
    """A pod; each port as a flow mapping: "containerPort: 80, hostPort: 8080"."""
    listed = "".join(f"\n    - {{{port}}}" for port in ports)
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  containers:
  - name: web
    image: example/web:1
    ports:{listed or " []"}
"""


def gateway_mac(pod: Pod) -> str:
    """Whom the pod sends everything to."""
    gateway = run(pod.place, "ip -j neighbour show nud permanent")
    return str(json.loads(gateway)[0]["lladdr"])


def eventually(question: Callable[[], T], timeout_s: float = 5.0) -> T:
    """The first answer that is not empty."""
    deadline = time.monotonic() + timeout_s * PATIENCE
    while not (answer := question()):
        assert time.monotonic() < deadline, f"still {answer!r} after {timeout_s} s"
        time.sleep(0.01)
    return answer


def run(place: Path, command: str, *, check: bool = True) -> str:
    """What a shell command prints there. /sys still shows the node's links."""
    with inside(place):
        return shell(command, check=check)


@contextmanager
def new_namespace() -> Iterator[Path]:
    """A network namespace that lasts as long as the block, with lo up."""
    opened: list[int] = []

    def enter() -> None:
        libc.unshare(libc.CLONE_NEWNET)
        shell("ip link set lo up")
        opened.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    (fd,) = opened
    try:
        yield Path(f"/proc/{os.getpid()}/fd/{fd}")
    finally:
        os.close(fd)
