"""A backend without a node behind it: objects in memory, verbs that answer from what a test gave them.

For tests of whatever talks to the API (server, client, command line), here so that everybody uses the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent import metrics
from agent.api.backend import CniReply
from agent.api.wire import ExecRequest, NodeUsage, PodUsage
from agent.errors import NotFound
from agent.objects.meta import Key, Object, ObjectMeta
from agent.objects.namespace import Namespace
from agent.store.base import Store
from agent.store.sqlite import SqliteStore


class FakeBackend:
    """Admits every object into a namespace that exists; `refuse` may raise for one that must fail."""

    def __init__(self, store: Store | None = None, *, node_name: str = "node-1") -> None:
        self.store = store or SqliteStore(None)
        self.node_name = node_name
        self.refuse: Callable[[Object], None] = lambda _: None
        self.answer_cni: Callable[[bytes], CniReply] = lambda request: CniReply(0, request)
        self.usage: Sequence[PodUsage] = ()
        if self.store.find(Key("Namespace", "", "default")) is None:
            self.store.create(Namespace(metadata=ObjectMeta(name="default")))

    def admit(self, new: Object, old: Object | None) -> Object:
        self.refuse(new)
        namespace = new.metadata.namespace
        if namespace and self.store.find(Key("Namespace", "", namespace)) is None:
            raise NotFound(f"namespace {namespace} does not exist", hint=f"apply a Namespace {namespace} first")
        return new

    def cni(self, request: bytes) -> CniReply:
        return self.answer_cni(request)

    def exec_plan(self, namespace: str, pod: str, request: ExecRequest) -> Mapping[str, Any]:
        found = self.store.get(Key("Pod", namespace, pod))
        plan = {"pod": found.metadata.name, "argv": list(request.command), "container": request.container, "detach": request.detach}
        return {"plan": plan, "warnings": ["spec.containers[0].image is not used"]}

    def status(self) -> Mapping[str, Any]:
        return {"agent": {"node": self.node_name}, "network": {"mode": "bridge"}}

    def top_node(self) -> Sequence[NodeUsage]:
        return (NodeUsage(name=self.node_name, cpu_millicores=250, cpu_percent=12.5, memory_bytes=1 << 30, memory_percent=25.0),)

    def top_pods(self, namespace: str | None) -> Sequence[PodUsage]:
        return [usage for usage in self.usage if namespace in (None, usage.namespace)]

    def metrics(self) -> bytes:
        return metrics.exposition()
