"""A container runtime's side of CNI: containers with a network namespace and one hostPort each, added and deleted.

Only the plugins' time is counted. Namespaces are made before and removed after.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from agent.kernel import netns
from rig.measure import milliseconds
from tests.runtime.chain import Call, Chain, Config

_FIRST_PORT = 20000


@dataclass(frozen=True, slots=True)
class Container:
    name: str
    netns: Path
    ports: tuple[Config, ...]

    @property
    def call(self) -> Call:
        return Call(self.name, self.netns, {"portMappings": self.ports})


class Runtime:
    """`directory` holds the namespaces; it must be there, and private (netns.ensure_root). They go when the block ends."""

    def __init__(self, chain: Chain, directory: Path) -> None:
        self._chain, self._directory = chain, directory
        self._numbers = count(1)
        self._results: dict[str, Config] = {}

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *_: object) -> None:
        for name in netns.list_(self._directory):
            netns.remove(self._directory / name)

    def __len__(self) -> int:
        """Containers that are attached."""
        return len(self._results)

    def cycle(self) -> tuple[float, float]:
        """Milliseconds of one ADD and of its DEL."""
        container = self.container()
        return milliseconds(lambda: self.add(container)), self.remove(container)

    def container(self) -> Container:
        number = next(self._numbers)
        name = f"{self._directory.name}-{number}"
        netns.create(self._directory / name, kinds=("net",))
        port = {"hostPort": _FIRST_PORT + number % 10000, "containerPort": 80, "protocol": "tcp"}
        return Container(name, self._directory / name / "net", (port,))

    def add(self, container: Container) -> None:
        self._results[container.name] = self._chain.add(container.call)

    def remove(self, container: Container) -> float:
        """DEL, in milliseconds; then the namespace."""
        result = self._results.pop(container.name)
        elapsed_ms = milliseconds(lambda: self._chain.delete(container.call, result))
        netns.remove(self._directory / container.name)
        return elapsed_ms

    def fill(self, number: int) -> list[Container]:
        containers = [self.container() for _ in range(number)]
        for container in containers:
            self.add(container)
        return containers

    def together(self, callers: int, number: int) -> tuple[float, float]:
        """ADDs and DELs a second, of `number` containers by so many callers at once."""
        containers = [self.container() for _ in range(number)]
        with ThreadPoolExecutor(callers) as pool:
            added = _rate(lambda: list(pool.map(self.add, containers)), number)
            removed = _rate(lambda: list(pool.map(self._delete, containers)), number)
        for container in containers:
            netns.remove(self._directory / container.name)
        return added, removed

    def _delete(self, container: Container) -> None:
        self._chain.delete(container.call, self._results.pop(container.name))


def ask_agent(socket_path: Path, verb: str, container: Container) -> float:
    """Milliseconds of one request over the agent's socket, as the plugin sends it: without the plugin's own start."""
    call = {
        "CNI_COMMAND": verb,
        "CNI_CONTAINERID": container.name,
        "CNI_NETNS": str(container.netns),
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/",
    }
    config = {"cniVersion": "1.0.0", "name": "podwright", "type": "podwright", "runtimeConfig": {"portMappings": list(container.ports)}}
    body = b"".join(f"{key}={value}\0".encode() for key, value in call.items()) + b"\0" + json.dumps(config).encode()
    head = f"POST /cni HTTP/1.1\r\nHost: podwright\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    started = time.perf_counter()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(socket_path))
        connection.sendall(head + body)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    elapsed_ms = (time.perf_counter() - started) * 1000
    if b"x-exit-status: 0" not in answer.lower():
        raise RuntimeError(f"{verb} failed: {answer.decode(errors='replace')}")
    return elapsed_ms


def _rate(act: Callable[[], object], number: int) -> float:
    return number / milliseconds(act) * 1000
