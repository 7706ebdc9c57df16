"""The parts put together: the skeleton of the node, and what a pod adds to it."""

from __future__ import annotations

from agent.config import Mode
from agent.kernel.nft import Chain, Element, Ruleset
from agent.network.firewall import antispoof, filter, hostport, inbound, masquerade, node_answers, shaping
from agent.network.firewall.tables import INET, NETDEV, layer2
from agent.network.node import Foreign, NodeNetwork
from agent.objects.attachment import Attachment


def skeleton(node: NodeNetwork) -> Ruleset:
    """Tables, chains, rules, sets, and the elements that are the node's."""
    return Ruleset(
        tables=tuple(dict.fromkeys((INET, layer2(node), NETDEV))),
        sets=(*hostport.sets(), *masquerade.sets(), filter.foreign_ok(), filter.bridged(), *antispoof.sets(node)),
        chains=(
            *inbound.chains(node),
            *hostport.chains(),
            node_answers.chain(node),
            *filter.chains(node),
            *masquerade.chains(),
            *antispoof.chains(node),
        ),
        elements=tuple(masquerade.node_elements(node)),
    )


def elements(node: NodeNetwork, attachment: Attachment) -> tuple[Element, ...]:
    """Everything one pod adds, in all sets."""
    table = NETDEV if attachment.is_chained else layer2(node)
    own = (*antispoof.elements(table, attachment), *masquerade.elements(attachment), *hostport.elements(attachment))
    return (*own, filter.foreign_ok().element(attachment.host_ifname)) if attachment.is_chained else own


def device_chains(node: NodeNetwork, attachment: Attachment) -> tuple[Chain, ...]:
    """The chains on the pod's host veth: who judges it in routed mode, and who hands it over where it is limited."""
    is_judged_here = node.mode is Mode.ROUTED or attachment.is_chained
    judge = (antispoof.device_chain(NETDEV, attachment),) if is_judged_here else ()
    return (*judge, *shaping.device_chains(attachment))


def foreign_elements(foreign: Foreign) -> tuple[Element, ...]:
    """Where the node may go on forwarding for others."""
    bridges = (filter.foreign_ok().element(name) for name in sorted(foreign.bridges))
    uplinks = (filter.bridged().element(name, name) for name in sorted(foreign.uplink_bridges))
    return (*bridges, *uplinks)
