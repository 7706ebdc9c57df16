"""The policies that stand, converted, and what they are converted with: one that changes costs itself, not all of them.

What policies are read with (tiers, sets, profiles, nodes, labels of namespaces) is the `world`. When anything in it
changes that a policy's meaning depends on, all are read anew. A policy that cannot be understood stands as one that
denies (gather.py), and is in `broken` with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agent.objects.meta import IPAddress, Key, Object
from agent.policy import convert, gather
from agent.policy.convert import Placed
from agent.policy.rules import PolicySet
from agent.policy.world import World

POLICY_KINDS = frozenset({"NetworkPolicy", "CalicoNetworkPolicy", "GlobalNetworkPolicy", "ClusterNetworkPolicy"})


class Standing:
    def __init__(self, node_name: str, node_addresses: Iterable[IPAddress]) -> None:
        self._node_name, self._node_addresses = node_name, tuple(node_addresses)
        self.world = World()
        """Without endpoints and policies."""
        self.broken: dict[Key, str] = {}
        self._beside: dict[Key, Object] = {}
        self._policies: dict[Key, Object] = {}
        self._placed: dict[Key, tuple[Placed, ...]] = {}
        self._stand_ins: tuple[Placed, ...] = ()

    def change(self, objects: Mapping[Key, Object | None]) -> PolicySet:
        """Objects that are new, other or (None) gone; no pods. Returns all policies, in their order."""
        policies = {key: thing for key, thing in objects.items() if key.kind in POLICY_KINDS}
        for key, thing in policies.items():
            _set(self._policies, key, thing)
        if len(policies) < len(objects):
            before = self.world
            for key, thing in objects.items():
                if key not in policies:
                    _set(self._beside, key, thing)
            self._read_world()
            if _means_other(before, self.world):
                policies = {**policies, **self._policies}
        self._convert(policies)
        return convert.in_order(self.world, [*self._stand_ins, *(each for found in self._placed.values() for each in found)])

    def _read_world(self) -> None:
        self.world = self._world_of(self._beside.values())
        self._stand_ins = tuple(convert.placed(self.world, self.world))
        self.broken = {key: reason for key, reason in self.broken.items() if key.kind in POLICY_KINDS} | dict(self.world.broken)

    def _convert(self, policies: Mapping[Key, Object | None]) -> None:
        """All at once, but for broken ones: what stands in for them has another key."""
        tiers = [thing for thing in self._beside.values() if thing.key.kind == "Tier"]
        for key in policies:
            self._placed.pop(key, None)
            self.broken.pop(key, None)
        there = {key: thing for key, thing in policies.items() if thing is not None}
        read = self._world_of([*there.values(), *tiers])
        self._placed.update((each.key, (each,)) for each in convert.placed(self.world, read) if each.key in there)
        for key in read.broken.keys() & there.keys():
            self.broken[key] = read.broken[key]
            self._placed[key] = tuple(convert.placed(self.world, self._world_of([there[key], *tiers])))

    def _world_of(self, objects: Iterable[Object]) -> World:
        return gather.world_of(objects, node_name=self._node_name, node_addresses=self._node_addresses)


def _set(among: dict[Key, Object], key: Key, thing: Object | None) -> None:
    if thing is None:
        among.pop(key, None)
    else:
        among[key] = thing


def _means_other(before: World, after: World) -> bool:
    """A set in a namespace has that one's labels, too."""

    def context(world: World) -> object:
        return world.tiers, world.sets, world.nodes, (world.namespaces, world.profiles) if world.sets else None

    return context(before) != context(after)
