"""What is put right around pods that live: how the node finds them, and connections of others that do not.

Anyone may take a host veth down or off the bridge, remove the bridge itself (its ports survive, alone and silent), or
delete neighbours and routes; and an agent that was killed in a detach leaves the routes, neighbours and tracked
connections of a pod that is gone. What is found is compared with what is wanted; where all is well, which is nearly
always, nothing is requested. A fresh agent looks once for all of it, a running one (keep.py) as often as it hears of
changes, while pods come and go: so it only adds what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from loguru import logger

from agent.errors import KernelError, PodwrightError
from agent.kernel import conntrack, neigh, route
from agent.kernel.host import Host
from agent.kernel.link import Link
from agent.kernel.neigh import Forwarding, Neighbour
from agent.kernel.netlink import Request
from agent.kernel.route import RTPROT_PODWRIGHT, Address, Route
from agent.network import datapath
from agent.network.node import LOOPBACK, NodeNetwork
from agent.objects.attachment import Attachment, AttachmentKey
from agent.objects.meta import IPAddress


@dataclass(frozen=True, slots=True)
class Seen:
    """What the kernel lists of the node's own namespace; only permanent neighbours and static forwarding."""

    links: Sequence[Link]
    neighbours: Sequence[Neighbour]
    forwarding: Sequence[Forwarding]
    routes: Sequence[Route]
    addresses: Sequence[Address] = ()


def look(host: Host) -> Seen:
    return Seen(host.list_links(), host.list_neighbours(), host.list_forwarding(), host.list_routes(), host.list_addresses())


def ensure_reach(host: Host, node: NodeNetwork, attachments: Sequence[Attachment], bridge_index: int) -> tuple[Attachment, ...]:
    """Returns those whose host veth went meanwhile: a namespace that nobody holds any more takes its time to die."""
    seen = look(host)
    gone = without_link(attachments, seen.links)
    requests = plan(node, [each for each in attachments if each not in gone], seen, bridge_index)
    if not requests:
        return gone
    logger.info("repairing how pods are found: {}", "; ".join(map(str, requests)))
    try:
        host.apply(requests)
    except KernelError as error:
        gone = without_link(attachments, host.list_links())
        if not gone:
            raise
        logger.info("{} pod links went meanwhile: {}", len(gone), error)
    return gone


def without_link(attachments: Iterable[Attachment], links: Iterable[Link]) -> tuple[Attachment, ...]:
    there = {link.index for link in links}
    return tuple(attachment for attachment in attachments if attachment.host_ifindex not in there)


def forget_strangers(node: NodeNetwork, is_held: Callable[[IPAddress], bool]) -> None:
    """Connections of pod addresses that nobody holds would meet their next holder."""
    gateways = {gateway for gateway, _ in node.gateways}

    def is_gone(address: IPAddress) -> bool:
        is_pods = any(address in cidr for cidr in node.pod_cidrs if cidr.version == address.version)
        return is_pods and address not in gateways and not is_held(address)

    try:
        conntrack.flush_where(is_gone)
    except (PodwrightError, OSError) as error:
        logger.warning("cannot flush connections of pods that are gone: {}", error)


def plan(node: NodeNetwork, attachments: Sequence[Attachment], seen: Seen, bridge_index: int = 0) -> tuple[Request, ...]:
    """Pure. `attachments` are those whose host veth is there."""
    missing = plan_each(node, attachments, seen, bridge_index)
    return (*(request for requests in missing.values() for request in requests), *_stale(attachments, seen, bridge_index))


def plan_each(
    node: NodeNetwork, attachments: Sequence[Attachment], seen: Seen, bridge_index: int = 0
) -> dict[AttachmentKey, tuple[Request, ...]]:
    """Pure. What is missing, of those who miss something."""
    links = {link.index: link for link in seen.links}
    there = set(_there(seen))
    found: dict[AttachmentKey, tuple[Request, ...]] = {}
    for attachment in attachments:
        if attachment.is_chained:
            continue  # whoever made the link looks after it
        if datapath.is_as_made(node, attachment, links[attachment.host_ifindex], bridge_index):
            requests = tuple(each for each in datapath.reach(node, attachment, bridge_index) if each not in there)
        else:
            requests = datapath.repair(node, attachment, bridge_index)
        if requests:
            found[attachment.attachment_key] = requests
    return found


def is_node_whole(node: NodeNetwork, seen: Seen, bridge_index: int = 0) -> bool:
    """Pure. The bridge, the gateways, and the answer for addresses that no pod has."""
    is_there = not bridge_index or any(link.index == bridge_index and datapath.is_bridge_as_made(node, link) for link in seen.links)
    home = bridge_index or LOOPBACK
    addresses = {each.address for each in seen.addresses if each.index == home}
    answered = {each.destination for each in seen.routes if each.is_unreachable and each.protocol == RTPROT_PODWRIGHT}
    return is_there and all(gateway in addresses and cidr in answered for gateway, cidr in node.gateways)


def _there(seen: Seen) -> Iterator[Request]:
    """What is there, as the requests that would have made it: these are what is wanted, too."""
    yield from (neigh.add_neighbour(each.index, each.address, each.mac) for each in seen.neighbours)
    yield from (neigh.add_forwarding(each.port, each.mac) for each in seen.forwarding)
    for each in seen.routes:
        if each.protocol == RTPROT_PODWRIGHT:
            yield route.add_route(each.destination, each.index, source=each.source)


def _stale(attachments: Iterable[Attachment], seen: Seen, bridge_index: int) -> Iterator[Request]:
    """Nothing but an agent makes permanent neighbours on its bridge; on host veths they and the routes go with the link."""
    if not bridge_index:
        return
    held = {address for attachment in attachments for address in attachment.addresses}
    for way in seen.routes:
        is_ours = way.index == bridge_index and way.protocol == RTPROT_PODWRIGHT
        if is_ours and way.destination.network_address not in held:
            yield route.remove_link_route(way.destination, bridge_index)
    for each in seen.neighbours:
        if each.index == bridge_index and each.address not in held:
            yield neigh.remove_neighbour(bridge_index, each.address)
