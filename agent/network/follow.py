"""Keeps up with the node's own links: the pods' MTU is their uplink's, and other tools' bridges come and go.

News come from the watch of links, many at a time; a moment later the node is read once, and what its links ask of our
network is done. Our own links make no news: a pod's ADD costs a comparison of names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loguru import logger

from agent.errand import Errand
from agent.kernel.host import Host
from agent.kernel.link import Link
from agent.network import datapath, facts, uplink
from agent.network.manager import NetworkManager
from agent.network.node import Foreign
from agent.network.tables import Tables
from agent.network.uplink import NodeFacts, Ours

_SETTLE_S = 0.05


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What of the node matters to our network. `mtu` None: there is no way out, so nothing to follow."""

    mtu: int | None
    foreign: Foreign


def surroundings(seen: NodeFacts, families: Sequence[int], ours: Ours) -> Surroundings:
    has_way_out = bool(uplink.uplinks(seen, families, ours))
    return Surroundings(uplink.mtu(seen, families, ours) if has_way_out else None, uplink.foreign(seen, families, ours))


class LinkFollower:
    """Made before the Host that calls `changed`, started when the network is up. `fixed_mtu`: configured, 0 follows."""

    def __init__(self, families: Sequence[int], ours: Ours, *, fixed_mtu: int = 0) -> None:
        self._families, self._ours, self._fixed_mtu = families, ours, fixed_mtu
        self._followed = 0
        self._errand = Errand("following the node's links", self._follow, settle_s=_SETTLE_S)

    def changed(self, link: Link) -> None:
        if link.name != self._ours.bridge and not datapath.is_pod_link(link):
            self._errand.ring()

    def start(self, host: Host, interfaces: NetworkManager, tables: Tables) -> None:
        """Looks once at once: something may have changed while no agent ran, and since the node was read."""
        self._host, self._interfaces, self._tables = host, interfaces, tables
        self._errand.ring()
        self._errand.start()

    def stop(self) -> None:
        self._errand.stop()

    def _follow(self) -> None:
        now = surroundings(facts.read(self._host), self._families, self._ours)
        self._tables.set_foreign(now.foreign)
        mtu = self._fixed_mtu or now.mtu
        if mtu and mtu != self._followed:
            self._interfaces.resize(mtu)
            self._followed = mtu
            logger.info("pod links have the uplink's MTU, {}", mtu)
