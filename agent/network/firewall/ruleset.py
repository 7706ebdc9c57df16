"""The parts put together: the skeleton of the node, and what a pod adds to it."""

from __future__ import annotations

from collections.abc import Iterable

from agent.config import Mode
from agent.kernel.nft import Chain, Element, Ruleset
from agent.network.firewall import antispoof, filter, hostport, inbound, masquerade, node_answers
from agent.network.firewall.tables import INET, NETDEV, layer2
from agent.network.node import NodeNetwork
from agent.objects.attachment import Attachment


def skeleton(node: NodeNetwork) -> Ruleset:
    """Tables, chains, rules, sets, and the elements that are the node's."""
    return Ruleset(
        tables=(INET, layer2(node)),
        sets=(*hostport.sets(), *masquerade.sets(), filter.foreign_ok(), *antispoof.sets(node)),
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
    return (*antispoof.elements(layer2(node), attachment), *masquerade.elements(attachment), *hostport.elements(attachment))


def device_chains(node: NodeNetwork, attachment: Attachment) -> tuple[Chain, ...]:
    """Routed mode: the chain on the pod's host veth. Made after the veth and before it is up."""
    return (antispoof.device_chain(NETDEV, attachment),) if node.mode is Mode.ROUTED else ()


def foreign_devices(names: Iterable[str]) -> tuple[Element, ...]:
    """Devices of other tools between which the node may go on forwarding."""
    return tuple(filter.foreign_ok().element(name) for name in sorted(set(names)))
