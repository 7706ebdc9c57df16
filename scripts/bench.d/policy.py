"""Policy at scale: 5,000 endpoints known, 500 of them pods of this node, 1,000 policies; what one change costs.

Datagrams fly without pause from one pod to another. A change is sent to the agent's socket, and the clock runs from
then to the first packet that obeys (allowed) or to the last that does not (denied): store, fsync, compile and commit
included. The relabelled pod is the sender: its peers' maps change, not its own rules.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from rig import crowd
from rig.options import Options
from rig.report import Figure, Goal, Report

from tests.prober import inside
from tests.running import RunningAgent

_LOCAL, _KNOWN, _POLICIES, _ROUNDS = 500, 5000, 1000, 50
_CHANGE = Goal(must=20, aim=5)
_SETTLED_S = 0.03
_PATIENCE_S = 10.0
_CHUNK = 500
_SPACES = 20


def run(options: Options) -> Report:
    return sum((_of_mode(mode, options) for mode in options.modes), Report())


def _of_mode(mode: str, options: Options) -> Report:
    local, known, policies = options.count(_LOCAL, 4), options.count(_KNOWN, 20), options.count(_POLICIES, 5)
    rounds = options.count(_ROUNDS, 2)
    with crowd.agent(mode) as running:
        crowd.raise_crowd(running, local)
        _apply(running, [_space(n) for n in range(_SPACES)])
        _apply(running, [_remote(n) for n in range(known - local)])
        _apply(running, [_policy(f"p{n}", f"s{n % _SPACES}", f"a{n}", f"a{n + 1}") for n in range(policies)])
        _apply(running, [_policy(f"q{n}", "default", "crowd", f"a{n}", space=f"s{n % _SPACES}") for n in range(min(policies, 20))])
        _apply(running, [_pod("from", "open"), _pod("to", "gate")])
        ends = {
            pod["metadata"]["name"]: pod for pod in running.client.get(crowd.PODS)["items"] if pod["metadata"]["name"] in ("from", "to")
        }
        ends = _with_addresses(running, ends)
        with _stream(running, ends["from"], ends["to"]) as stream:
            gate = [_policy("gate", "default", "gate", peer) for peer in ("nobody", "open")]
            by_policy = _changes(running, stream, gate[1], gate[0], rounds)
            _apply(running, [gate[1]])
            by_label = _changes(running, stream, _pod("from", "open"), _pod("from", "shut"), rounds)
    where = f"{mode}: {known} endpoints, {local} local, {policies} policies"
    return Report(
        figures=tuple(
            Figure(f"{where}: {what}, {worst}", "ms", values, _CHANGE)
            for what, (opened, closed) in (("policy changed", by_policy), ("pod relabelled", by_label))
            for worst, values in (
                ("until allowed", opened),
                ("until allowed, p99", (_p99(opened),)),
                ("last packet", closed),
                ("last packet, p99", (_p99(closed),)),
            )
        )
    )


class _Stream:
    """Datagrams from one place to another without pause; when the first and the last of late arrived."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self._source, self._sink = source, sink
        self._to = sink.getsockname()
        self.last_at = 0.0
        self._is_over = threading.Event()
        self.threads = [threading.Thread(target=each, daemon=True) for each in (self._send, self._receive)]

    def _send(self) -> None:
        while not self._is_over.wait(0.0002):
            self._source.sendto(b"x", self._to)

    def _receive(self) -> None:
        while not self._is_over.is_set():
            try:
                self._sink.recv(16)
            except TimeoutError:
                continue
            self.last_at = time.perf_counter()

    def stop(self) -> None:
        self._is_over.set()
        for thread in self.threads:
            thread.join()


def _changes(
    running: RunningAgent, stream: _Stream, opening: dict[str, Any], closing: dict[str, Any], rounds: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Milliseconds until the first packet after each opening, and until the last one after each closing."""
    opened, closed = [], []
    _apply(running, [closing])
    _wait_for(lambda: time.perf_counter() - stream.last_at > _SETTLED_S)
    for _ in range(rounds):
        started = time.perf_counter()
        _apply(running, [opening])
        _wait_for(lambda: stream.last_at > started)  # noqa: B023 (asked at once)
        opened.append((stream.last_at - started) * 1e3)
        time.sleep(_SETTLED_S)
        started = time.perf_counter()
        _apply(running, [closing])
        _wait_for(lambda: time.perf_counter() - stream.last_at > _SETTLED_S)
        closed.append(max((stream.last_at - started) * 1e3, 0.0))
    return tuple(opened), tuple(closed)


def _wait_for(question: Callable[[], bool]) -> None:
    deadline = time.perf_counter() + _PATIENCE_S
    while not question():
        if time.perf_counter() > deadline:
            raise TimeoutError("the agent did not do as it was told")
        time.sleep(0.0001)


@contextmanager
def _stream(running: RunningAgent, source: dict[str, Any], destination: dict[str, Any]) -> Iterator[_Stream]:
    with inside(Path(running.namespace_of(destination))):
        sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sink.bind((_address(destination), 80))
    sink.settimeout(0.05)
    with inside(Path(running.namespace_of(source))):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sink, sender:
        stream = _Stream(sender, sink)
        for thread in stream.threads:
            thread.start()
        try:
            yield stream
        finally:
            stream.stop()


def _with_addresses(running: RunningAgent, pods: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    deadline = time.monotonic() + _PATIENCE_S
    while not (len(pods) == 2 and all(pod.get("status", {}).get("podIPs") for pod in pods.values())):
        if time.monotonic() > deadline:
            raise TimeoutError("the two pods are not ready")
        time.sleep(0.01)
        found = running.client.get(crowd.PODS)["items"]
        pods = {pod["metadata"]["name"]: pod for pod in found if pod["metadata"]["name"] in ("from", "to")}
    return pods


def _address(pod: dict[str, Any]) -> str:
    return next(address for address in crowd.addresses(pod) if ":" not in address)


def _p99(values: tuple[float, ...]) -> float:
    return sorted(values)[max(0, round(0.99 * len(values)) - 1)]


def _apply(running: RunningAgent, documents: list[dict[str, Any]]) -> None:
    for start in range(0, len(documents), _CHUNK):
        running.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": documents[start : start + _CHUNK]}))


def _space(number: int) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"s{number}"}}


def _pod(name: str, app: str, namespace: str = "default") -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": {"app": app}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": "main", "image": "example/main:1"}]}}


def _remote(number: int) -> dict[str, Any]:
    pod = _pod(f"r{number}", f"a{number}", f"s{number % _SPACES}")
    addresses = [ip_address("10.99.0.0") + number, ip_address("fd99::") + number]
    pod["spec"]["nodeName"] = "elsewhere"
    pod["status"] = {"phase": "Running", "podIP": str(addresses[0]), "podIPs": [{"ip": str(each)} for each in addresses]}
    return pod


def _policy(name: str, namespace: str, app: str, peer: str, *, space: str = "") -> dict[str, Any]:
    source: dict[str, Any] = {"podSelector": {"matchLabels": {"app": peer}}}
    if space:
        source["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": space}}
    spec = {"podSelector": {"matchLabels": {"app": app}}, "ingress": [{"from": [source], "ports": [{"port": 80, "protocol": "UDP"}]}]}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
