"""A UDP service of the node that is bound to no address answers a pod from the address the pod asked.

Such a service lets the kernel choose its answer's source, which towards a pod is the gateway's; a pod that asked
another address of the node would not know the answer. So the question is translated to the gateway's address, and
connection tracking translates the answer back. A service bound to one address is left alone (`socket wildcard`).
One rule a range, met by a connection's first packet only.
"""

from __future__ import annotations

from agent.kernel.nft import Chain, Hook, rule
from agent.kernel.nft.fields import daddr, fib_daddr_type, l4proto, saddr, socket_wildcard
from agent.kernel.nft.statements import DnatTo
from agent.network.firewall.tables import from_pods, inet_chain
from agent.network.node import NodeNetwork

_AFTER_HOST_PORTS = -99


def chain(node: NodeNetwork) -> Chain:
    rules = [
        rule(
            from_pods(node),
            saddr(cidr.version).is_(cidr),
            daddr(cidr.version).is_not(gateway),
            l4proto.is_("udp"),
            fib_daddr_type.is_("local"),
            socket_wildcard.is_(1),
            DnatTo(cidr.version, gateway),
        )
        for gateway, cidr in node.gateways
    ]
    return inet_chain("node-answers", Hook("nat", "prerouting", _AFTER_HOST_PORTS), *rules)
