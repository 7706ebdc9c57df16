"""Hands what a limited pod sends to the link that shapes it (bandwidth.py says why it is done here).

A chain of its own on the pod's device, behind the one that judges in routed mode; its verdict steals the packet, which
comes back by the same device past this hook. In bridge mode the judgement comes after, in the bridge's own hooks.
"""

from __future__ import annotations

from agent.kernel.nft import Chain, Hook, rule
from agent.kernel.nft.statements import forward_to
from agent.network import bandwidth
from agent.network.firewall.tables import NETDEV
from agent.objects.attachment import Attachment

_AFTER_JUDGEMENT = -400


def device_chains(attachment: Attachment) -> tuple[Chain, ...]:
    """Named as the shaping link. None without a limit on what the pod sends."""
    if not attachment.bandwidth.egress_rate:
        return ()
    shaper = bandwidth.shaper_ifname(attachment)
    hand_over = rule(forward_to(shaper, bandwidth.shaper_ifindex(attachment)))
    return (Chain(NETDEV, shaper, (hand_over,), Hook("filter", "ingress", _AFTER_JUDGEMENT, attachment.host_ifname)),)
