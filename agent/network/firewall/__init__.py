"""The node's firewall as values: what the tables hold for the node, and what one pod adds. Pure.

    antispoof    who may send what, judged at layer 2; the mark that says a frame was judged
    inbound      what comes from pods: unjudged packets and 127/8 drop before conntrack sees them
    hostport     destination NAT of host ports
    node_answers the node answers a pod's datagram from the address that was asked
    masquerade   source NAT of pods, hairpin and 127.0.0.1
    filter       forwarding between devices, and the empty policy chains

A table is named `podwright` in inet and, for layer 2, in bridge or netdev. Everything that depends on pods is an
element of a set, so that a pod comes and goes without a rule changing; a missing element closes, never opens.
"""

from agent.network.firewall.ruleset import device_chains, elements, foreign_devices, skeleton

__all__ = ["device_chains", "elements", "foreign_devices", "skeleton"]
