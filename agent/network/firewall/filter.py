"""Filtering at priority 0, after destination NAT: what never passes, then policy, then traffic that is none of ours.

A node that forwards to a pod on the same link sends it ICMPv6 redirects; a pod that obeys goes dark, and IPv6 has no
switch for sending them. The policy chains are empty: policy fills them.
"""

from __future__ import annotations

from agent.kernel.nft import DROP, Chain, Hook, Rule, Set, jump, rule
from agent.kernel.nft.datatypes import IFNAME
from agent.kernel.nft.fields import icmpv6_type, iifname, nfproto, oifname
from agent.kernel.nft.match import concat
from agent.network.firewall.tables import INET, NFPROTO, inet_chain, pod_device
from agent.network.node import NodeNetwork

POLICY_FORWARD, POLICY_INPUT, POLICY_OUTPUT = "policy-forward", "policy-input", "policy-output"


def foreign_ok() -> Set:
    """Devices of other tools (their bridges): the node forwards to and from these as before."""
    return Set(INET, "foreign_ok", (IFNAME,))


def bridged() -> Set:
    """A bridge that is the node's uplink, and itself: bridge netfilter shows here what only passes between its ports."""
    return Set(INET, "bridged", (IFNAME, IFNAME))


def chains(node: NodeNetwork) -> tuple[Chain, ...]:
    no_redirect = rule(oifname.is_(pod_device(node)), icmpv6_type.is_("nd-redirect"), DROP)
    forward = [no_redirect, rule(jump(POLICY_FORWARD))]
    forward += (_foreign(node, family) for family in node.drop_foreign_forward)
    return (
        *(inet_chain(name, None) for name in (POLICY_FORWARD, POLICY_INPUT, POLICY_OUTPUT)),
        inet_chain("forward", Hook("filter", "forward", 0), *forward),
        inet_chain("input", Hook("filter", "input", 0), rule(jump(POLICY_INPUT))),
        inet_chain("output", Hook("filter", "output", 0), no_redirect, rule(jump(POLICY_OUTPUT))),
    )


def _foreign(node: NodeNetwork, family: int) -> Rule:
    """The agent turned forwarding on: the node must not become a router between devices that are none of its business."""
    ours = pod_device(node)
    neither = (nfproto.is_(NFPROTO[family]), iifname.is_not(ours), oifname.is_not(ours))
    not_theirs = (iifname.not_in(foreign_ok()), oifname.not_in(foreign_ok()), concat(iifname, oifname).not_in(bridged()))
    return rule(*neither, *not_theirs, DROP)
