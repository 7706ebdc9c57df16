"""What a fresh agent makes of the attachments it finds on record and the links it finds in the kernel. Pure.

An attachment is alive when the boot is the same and its host veth is there, recognised by name and by the alias we
wrote; an interface that another plugin made has no alias of ours, so index and name must do. Paths and inodes of
namespaces are only hints, they can be reused. A dead one of a runtime's container is given back; a pod of our own is
built again in its namespace. A link of ours that nobody has on record, or that its attachment does not want, is a
leftover of a change that never ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.kernel.link import Link
from agent.network import bandwidth, datapath
from agent.objects.attachment import Attachment


@dataclass(frozen=True, slots=True)
class Recovery:
    """`alive` keep, `dead` give back, `leftovers` delete."""

    alive: tuple[Attachment, ...]
    dead: tuple[Attachment, ...]
    leftovers: tuple[Link, ...]

    def __str__(self) -> str:
        return f"{len(self.alive)} attachments alive, {len(self.dead)} dead, {len(self.leftovers)} leftover links"


def plan(attachments: Iterable[Attachment], links: Sequence[Link], boot_id: str) -> Recovery:
    by_name = {link.name: link for link in links}
    ours = {link.name: link for link in links if datapath.is_pod_link(link)}
    alive: list[Attachment] = []
    dead: list[Attachment] = []
    for attachment in attachments:
        found = (by_name if attachment.is_chained else ours).get(attachment.host_ifname)
        if found is not None and attachment.boot_id == boot_id and _is_of(found, attachment):
            alive.append(attachment)
        else:
            dead.append(attachment)
    known = {attachment.host_ifname for attachment in alive}
    known |= {bandwidth.shaper_ifname(attachment) for attachment in alive if attachment.bandwidth.egress_rate}
    return Recovery(tuple(alive), tuple(dead), tuple(link for name, link in sorted(ours.items()) if name not in known))


def _is_of(found: Link, attachment: Attachment) -> bool:
    """The owner is written on a link when everything else is done: without it the attachment is not finished."""
    is_named = attachment.is_chained or datapath.attachment_of_alias(found.alias) == attachment.metadata.name
    return found.index == attachment.host_ifindex and is_named
