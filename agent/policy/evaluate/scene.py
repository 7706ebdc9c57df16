"""A World with its addresses looked up: all the index that the plain reading has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from agent.objects.meta import IPAddress
from agent.policy.world import Endpoint, Labels, World


class Scene:
    """An address that two pods claim (one record is stale) belongs to both as a peer, and to this node's as an owner."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._at: defaultdict[IPAddress, list[Endpoint]] = defaultdict(list)
        for endpoint in sorted(world.endpoints, key=lambda endpoint: not endpoint.is_local):
            for address in endpoint.addresses:
                self._at[address].append(endpoint)
        self._labels: dict[int, Labels] = {}

    def at(self, address: IPAddress) -> Sequence[Endpoint]:
        return self._at.get(address, ())

    def owner(self, address: IPAddress) -> Endpoint | None:
        return next(iter(self.at(address)), None)

    def calico_labels(self, endpoint: Endpoint) -> Labels:
        known = self._labels.get(id(endpoint))
        if known is None:
            known = self._labels[id(endpoint)] = self.world.calico_labels(endpoint)
        return known
