"""Reads the node's links, routes and addresses into the plain facts that uplink.py decides on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agent.kernel.link import Link
from agent.kernel.route import Address, Route
from agent.network.uplink import AddressFact, LinkFact, NodeFacts, RouteFact

_SCOPE_GLOBAL = 0


class Listing(Protocol):
    """A Host, or less."""

    def list_links(self) -> Sequence[Link]: ...
    def list_routes(self) -> Sequence[Route]: ...
    def list_addresses(self) -> Sequence[Address]: ...


def read(host: Listing) -> NodeFacts:
    links = host.list_links()
    names = {link.index: link.name for link in links}
    return NodeFacts(
        links=tuple(LinkFact(link.name, link.index, link.mtu, link.kind, link.is_up) for link in links),
        routes=tuple(
            RouteFact(route.destination, names.get(route.index, ""), route.gateway, route.metric, route.table, route.protocol)
            for route in host.list_routes()
        ),
        addresses=tuple(
            AddressFact(
                found.address,
                names.get(found.index, ""),
                is_global=found.scope == _SCOPE_GLOBAL,
                is_stable=not (found.is_temporary or found.is_deprecated),
                is_tentative=found.is_tentative,
            )
            for found in host.list_addresses()
            if not found.is_duplicate
        ),
    )
