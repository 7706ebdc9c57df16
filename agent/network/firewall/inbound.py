"""What arrives meets these rules before conntrack: 127/8 on a wire drops, and so do unjudged packets from pods.

A host port on 127.0.0.1 is translated before the kernel looks for martians, and pod devices have route_localnet:
neither a neighbour on the segment nor a pod may reach what the node keeps for itself. Tools that translate to the
loopback do so later. In bridge mode a packet arrives from the bridge, whether it is routed (once) or bridge netfilter
shows a bridged frame to inet (the second time is skipped by the kernel); from the bare host veth only while that is
no port, and then it has no mark.
Pods' packets are asked about first where it matters: what was judged cannot have a source in 127/8.
The mark is nobody else's business and goes at once; but in a chain behind, not in the same: while a table is replaced
a packet can meet the old chain and then the new one, which must find the mark still there.
"""

from __future__ import annotations

from ipaddress import IPv4Network

from agent.config import Mode
from agent.kernel.nft import ACCEPT, DROP, Chain, Hook, rule
from agent.kernel.nft.fields import ct_status, daddr, iifname, mark, saddr
from agent.kernel.nft.statements import add_mark, clear_mark
from agent.network.firewall.tables import POD_LINKS, from_pods, inet_chain
from agent.network.node import MARK_DNAT_BRIDGED, MARK_SPOOF_CHECKED, NodeNetwork

LOOPBACK = IPv4Network("127.0.0.0/8")


def chains(node: NodeNetwork) -> tuple[Chain, ...]:
    port = iifname.is_(POD_LINKS)
    from_pod = (from_pods(node), port) if node.mode is Mode.BRIDGE else (port,)
    judged = (rule(each, mark.masked(MARK_SPOOF_CHECKED, MARK_SPOOF_CHECKED), ACCEPT) for each in from_pod)
    unjudged = (rule(each, DROP) for each in from_pod)
    to_loopback, from_loopback = (rule(end(4).is_(LOOPBACK), DROP) for end in (daddr, saddr))
    rules = (rule(iifname.is_("lo"), ACCEPT), to_loopback, *judged, *unjudged, from_loopback)
    unmark = (rule(each, clear_mark(MARK_SPOOF_CHECKED)) for each in from_pod)
    early = (
        inet_chain("early-prerouting", Hook("filter", "prerouting", -310), *rules),
        inet_chain("unmark", Hook("filter", "prerouting", -309), *unmark),
    )
    return (*early, _translated(node)) if node.mode is Mode.BRIDGE else early


def _translated(node: NodeNetwork) -> Chain:
    """Tells the bridge, after destination NAT, which frames it may pass between ports."""
    pass_between = rule(from_pods(node), ct_status.has("dnat"), add_mark(MARK_DNAT_BRIDGED))
    return inet_chain("late-prerouting", Hook("filter", "prerouting", -90), pass_between)
