"""Takes the node's side of the network down: everything recognisable as ours, whatever state it is in.

Used by `podwright agent --clear`, with no agent running and perhaps no record left: names, aliases, the route
protocol and the table names are what is gone by. Goes on after errors and reports them together.
"""

from __future__ import annotations

from agent import teardown
from agent.kernel import route
from agent.kernel.host import Host
from agent.kernel.link import Link
from agent.network import datapath
from agent.network.node import GATEWAY_MAC, LOOPBACK, NodeNetwork
from agent.network.tables import Tables


def clear(network: NodeNetwork, host: Host, tables: Tables) -> None:
    """Pods lose their network. Tables go last: until then pods can do no more than before."""
    links = [found for found in host.list_links() if is_ours(found, network)]
    steps = [lambda index=found.index: host.remove_link(index) for found in links]
    teardown.run_all([*steps, lambda: _clear_routes(network, host), tables.remove_all])


def is_ours(found: Link, network: NodeNetwork) -> bool:
    """The alias cannot be given at creation: a bridge whose maker was killed before it wrote one is known by the MAC."""
    is_named = found.alias == datapath.BRIDGE_ALIAS or (found.alias, found.kind, found.mac) == ("", "bridge", GATEWAY_MAC)
    return datapath.is_pod_link(found) or (found.name == network.bridge and is_named)


def _clear_routes(network: NodeNetwork, host: Host) -> None:
    """What does not go with a link: routes to nowhere, and the gateways that routed mode keeps on lo."""
    routes = [found for found in host.list_routes() if found.protocol == route.RTPROT_PODWRIGHT]
    gateways = {gateway for gateway, _ in network.gateways}
    addresses = [found for found in host.list_addresses() if found.index == LOOPBACK and found.address in gateways]
    host.apply(
        [
            *(route.remove_route(found) for found in routes),
            *(route.remove_address(LOOPBACK, found.address, found.prefix_length) for found in addresses),
        ]
    )
