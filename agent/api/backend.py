"""What the API needs from the rest of the agent; the daemon builds it and injects it.

Everything here may block and is called on pool threads, several at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from agent.api.wire import ExecRequest, NodeUsage, PodUsage
from agent.objects.meta import Object
from agent.store.base import Store
from agent.volume.pool.pools import Pools
from agent.volume.pool.volumes import Volumes


class CniReply(NamedTuple):
    """How the CNI plugin's process shall end. A CNI error is exit status 1 with the error's JSON on stdout.

    `undo`: what to do when that process is gone before it has printed this.
    """

    exit_status: int
    stdout: bytes
    undo: Callable[[], None] | None = None


class Backend(Protocol):
    @property
    def store(self) -> Store: ...

    @property
    def node_name(self) -> str:
        """Pods and Nodes of other nodes keep the status their manifest brings: here they are remote endpoints."""

    def admit(self, new: Object, old: Object | None) -> Object:
        """The object with this node's defaults. `old` is what is stored, None on creation.

        Raises InvalidObject, NotFound or Forbidden for what this node does not take.
        """

    def cni(self, request: bytes) -> CniReply:
        """One CNI verb, as the shim forwards it."""

    def exec_plan(self, namespace: str, pod: str, request: ExecRequest) -> Mapping[str, Any]:
        """How to run a command inside a pod: an ExecAnswer. Raises NotFound, Unavailable."""

    def status(self) -> Mapping[str, Any]:
        """The agent's view of itself: sections of names and values."""

    def top_node(self) -> Sequence[NodeUsage]: ...

    def top_pods(self, namespace: str | None) -> Sequence[PodUsage]: ...

    def metrics(self) -> bytes:
        """Prometheus text."""

    @property
    def pools(self) -> Pools: ...

    @property
    def volumes(self) -> Volumes:
        """Volumes in pools, for the CSI edge and the command line."""
