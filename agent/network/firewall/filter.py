"""Filtering at priority 0, after destination NAT: what never passes, then policy, then traffic that is none of ours.

A node that forwards to a pod on the same link sends it ICMPv6 redirects; a pod that obeys goes dark, and IPv6 has no
switch for sending them. 127/8 from anywhere but lo is a martian unless NAT put it there (an answer to 127.0.0.1's
connection, or another tool's translation to the loopback). The policy chains are empty: policy fills them.
"""

from __future__ import annotations

from agent.kernel.nft import DROP, Chain, Hook, Rule, Set, jump, rule
from agent.kernel.nft.datatypes import IFNAME
from agent.kernel.nft.fields import ct_status, daddr, icmpv6_type, iifname, oifname, saddr
from agent.network.firewall.inbound import LOOPBACK
from agent.network.firewall.tables import INET, inet_chain, pod_device
from agent.network.node import NodeNetwork

POLICY_FORWARD, POLICY_INPUT, POLICY_OUTPUT = "policy-forward", "policy-input", "policy-output"


def foreign_ok() -> Set:
    """Devices of other tools (their bridges): the node forwards to and from these as before."""
    return Set(INET, "foreign_ok", (IFNAME,))


def chains(node: NodeNetwork) -> tuple[Chain, ...]:
    no_redirect = rule(oifname.is_(pod_device(node)), icmpv6_type.is_("nd-redirect"), DROP)
    forward = [no_redirect, rule(saddr(4).is_(LOOPBACK), DROP), rule(daddr(4).is_(LOOPBACK), DROP), rule(jump(POLICY_FORWARD))]
    if node.drop_foreign_forward:
        forward.append(_foreign(node))
    from_wire = iifname.is_not("lo")
    martians = (
        rule(from_wire, saddr(4).is_(LOOPBACK), DROP),
        rule(from_wire, daddr(4).is_(LOOPBACK), ct_status.lacks("dnat"), DROP),
    )
    return (
        *(inet_chain(name, None) for name in (POLICY_FORWARD, POLICY_INPUT, POLICY_OUTPUT)),
        inet_chain("forward", Hook("filter", "forward", 0), *forward),
        inet_chain("input", Hook("filter", "input", 0), *martians, rule(jump(POLICY_INPUT))),
        inet_chain("output", Hook("filter", "output", 0), no_redirect, rule(jump(POLICY_OUTPUT))),
    )


def _foreign(node: NodeNetwork) -> Rule:
    """The agent turned forwarding on: the node must not become a router between devices that are none of its business."""
    ours = pod_device(node)
    neither = (iifname.is_not(ours), oifname.is_not(ours))
    return rule(*neither, iifname.not_in(foreign_ok()), oifname.not_in(foreign_ok()), DROP)
