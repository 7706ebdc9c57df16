"""The node's firewall as values: what the tables hold for the node, and what one pod adds. Pure.

    antispoof    who may send what, judged at layer 2; the mark that says a frame was judged
    inbound      what comes from pods: unjudged packets and 127/8 drop before conntrack sees them
    hostport     destination NAT of host ports
    node_answers the node answers a pod's datagram from the address that was asked
    masquerade   source NAT of pods, hairpin and 127.0.0.1
    filter       forwarding between devices, and the empty policy chains
    shaping      hands what a limited pod sends to the link that shapes it

Our tables are named `podwright`: inet, netdev for chains on pods' devices and, in bridge mode, bridge. What depends on
pods is an element of a set, so that a pod comes and goes without a rule changing (but for device chains, which are one
rule each); a missing element closes, never opens.
"""

from agent.network.firewall.ruleset import device_chains, elements, foreign_elements, skeleton

__all__ = ["device_chains", "elements", "foreign_elements", "skeleton"]
