"""Keeps the routes to other nodes' pods, and their exemption from masquerade, as the Node objects say.

All nodes are looked at together, whichever changed, and again now and then, because links and routes change without us.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from loguru import logger

from agent.controllers.runner import Due
from agent.kernel.host import Host
from agent.network import remote_routes
from agent.network.tables import Tables
from agent.objects.meta import IPNetwork, Key
from agent.objects.node import Node
from agent.store.base import Event, EventType, Store

_SETTLE_S, _AGAIN_S = 0.1, 15.0


class NodeController:
    name = "nodes"
    kinds: Sequence[str] = ("Node",)

    def __init__(self, store: Store, host: Host, tables: Tables, *, own_name: str, own_cidrs: tuple[IPNetwork, ...]) -> None:
        self._store, self._host, self._tables = store, host, tables
        self._own_name, self._own_cidrs = own_name, own_cidrs
        self._told: set[str] = set()

    def due(self, event: Event) -> Iterable[Due]:
        """Heartbeats are no news."""
        old, new = event.old, event.object
        if event.type is EventType.DELETED or not (isinstance(old, Node) and isinstance(new, Node)) or _ways(old) != _ways(new):
            yield Due(Key("Node", "", self._own_name), _SETTLE_S)

    def reconcile(self, key: Key) -> float | None:
        nodes = [each for each in self._store.list("Node")[0] if isinstance(each, Node)]
        wanted = remote_routes.remotes(nodes, self._own_name, self._own_cidrs)
        change = remote_routes.plan(wanted, self._host.list_routes(), self._host.list_addresses())
        self._tell((*remote_routes.refused(nodes, self._own_name, self._own_cidrs), *change.refused))
        self._tables.set_remote(tuple(each.cidr for each in wanted))
        if change.added or change.removed:
            self._host.apply([*change.added, *change.removed])
            logger.info("routes to other nodes: {}", str(change).replace("\n", "; "))
        return _AGAIN_S

    def _tell(self, refusals: Iterable[str]) -> None:
        """Each once, and again after it was gone."""
        now = set(refusals)
        for refusal in sorted(now - self._told):
            logger.warning(refusal)
        self._told = now


def _ways(node: Node) -> tuple[object, object]:
    return node.spec, node.status.addresses
