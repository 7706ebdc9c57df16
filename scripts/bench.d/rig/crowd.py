"""Many pods from one Deployment on a real agent, and the moments on their way from `apply` to an answer."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from agent.api.client import Client
from agent.errors import PodwrightError
from rig import probes
from rig.probes import Asker
from tests.running import RunningAgent, is_sandboxed

PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/crowd"
_PATIENCE_S = 120.0

_MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: crowd}}
spec:
  replicas: {count}
  selector: {{matchLabels: {{app: crowd}}}}
  template:
    metadata: {{labels: {{app: crowd}}}}
    spec:
      containers:
      - name: main
        image: registry.example/main:1
        resources: {{limits: {{memory: 16Mi}}}}
"""


@dataclass(frozen=True, slots=True)
class Phases:
    """Seconds from sending the manifest until this is true of all pods."""

    accepted: float
    stored: float
    ready: float
    answered: float
    agent_cpu: float
    """Processor seconds of the agent, of all its threads, user and kernel."""
    asked_again: int


@contextmanager
def agent(mode: str, **settings: str) -> Iterator[RunningAgent]:
    """A running agent with directories of its own; everything it made is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="podwright-bench-") as directory:
        running = RunningAgent(Path(directory), network__mode=mode, log__level="info", **settings)
        running.start()
        try:
            yield running
        finally:
            running.clear()


def apply(running: RunningAgent, count: int) -> None:
    running.apply(_MANIFEST.format(count=count))


def raise_crowd(running: RunningAgent, count: int) -> list[dict[str, Any]]:
    """`count` pods, each with a sandbox."""
    with _Events(running) as events:
        apply(running, count)
        pods: dict[str, dict[str, Any]] = {}
        while len(pods) < count:
            pod = events.next()["object"]
            if is_sandboxed(pod):
                pods[pod["metadata"]["name"]] = pod
    return list(pods.values())


def dismiss(running: RunningAgent) -> float:
    """Delete the Deployment; seconds until the last of its pods is gone."""
    started = time.monotonic()
    with _Events(running) as events:
        left = {pod["metadata"]["uid"] for pod in running.client.get(PODS)["items"]}
        running.client.delete(DEPLOYMENT)
        while left:
            event = events.next()
            if event["type"] == "DELETED":
                left.discard(event["object"]["metadata"]["uid"])
    return time.monotonic() - started


def addresses(pod: dict[str, Any]) -> list[str]:
    return [entry["ip"] for entry in pod["status"]["podIPs"]]


def until_answered(running: RunningAgent, count: int) -> Phases:
    """Apply, and ask each pod as soon as its status says that it is there."""
    stored = ready = 0.0
    ready_uids: set[str] = set()
    listeners = []
    with _Events(running) as events, Asker() as asker:
        started, cpu = time.monotonic(), cpu_seconds(running.pid)
        apply(running, count)
        accepted = time.monotonic() - started
        while len(ready_uids) < count or asker.waiting:
            for at, event in events.waiting():
                pod = event["object"]
                uid = pod["metadata"]["uid"]
                if event["type"] == "ADDED":
                    stored = at - started
                if uid not in ready_uids and is_sandboxed(pod):
                    ready_uids.add(uid)
                    ready = at - started
                    listeners.append(probes.listen(running.namespace_of(pod)))
                    asker.ask(addresses(pod))
            asker.listen(0.002)
            if time.monotonic() - started > _PATIENCE_S:
                raise TimeoutError(f"{len(ready_uids)} of {count} pods are ready; silent: {asker.silent()[:10]}\n{running.tail()}")
        answered, cpu = time.monotonic() - started, cpu_seconds(running.pid) - cpu
    for listener in listeners:
        listener.close()
    return Phases(accepted, stored, ready, answered, cpu, asker.asked_again)


def cpu_seconds(pid: int) -> float:
    """User and kernel time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class _Events:
    """Pod events with the time each was heard, read by a thread. Use as a context manager."""

    def __init__(self, running: RunningAgent) -> None:
        self._client = Client(running.socket_path)
        self._heard: SimpleQueue[tuple[float, dict[str, Any]]] = SimpleQueue()
        self._is_over = threading.Event()
        version = self._client.get(PODS)["metadata"]["resourceVersion"]
        self._thread = threading.Thread(target=self._read, args=(version,), daemon=True)

    def __enter__(self) -> _Events:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._client.close()

    def next(self) -> dict[str, Any]:
        return self._heard.get(timeout=_PATIENCE_S)[1]

    def waiting(self) -> Iterator[tuple[float, dict[str, Any]]]:
        try:
            while True:
                yield self._heard.get_nowait()
        except Empty:
            return

    def _read(self, version: str) -> None:
        while not self._is_over.is_set():
            try:
                for event in self._client.watch(PODS, resource_version=version, timeout_s=0.5):
                    version = event["object"]["metadata"]["resourceVersion"]
                    self._heard.put((time.monotonic(), event))
            except PodwrightError:
                time.sleep(0.05)
