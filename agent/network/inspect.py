"""Looks whether one attachment is in the kernel as it is on record: CNI's CHECK.

Later members of a CNI chain may change routes, MAC and MTU, so only what is ours alone is asked for: the host link, the
interface in the pod's namespace, its addresses, and the bandwidth limits.
"""

from __future__ import annotations

import os

from agent.errors import InvalidObject, NotFound
from agent.kernel import netns
from agent.kernel.host import Host
from agent.network import bandwidth, hostports
from agent.objects.attachment import Attachment, Bandwidth


def check(host: Host, attachment: Attachment, path: str) -> None:
    """`path` is where the caller says that the pod's namespace is. Raises NotFound, InvalidObject."""
    owner = hostports.describe(attachment)
    found = host.find_link(attachment.host_ifname)
    if found is None or not found.is_up:
        raise NotFound(f"link {attachment.host_ifname} of {owner} is {'down' if found else 'gone'}")
    fd = netns.open_network(path)
    try:
        if os.fstat(fd).st_ino != attachment.netns.inode:
            raise InvalidObject(f"{path} is not the namespace that {attachment.ifname} of {owner} was attached in")
        _check_pod_side(host, attachment, fd)
    finally:
        os.close(fd)
    if attachment.bandwidth != Bandwidth() and (missing := bandwidth.missing(attachment, host.list_links(), host.list_qdiscs())):
        raise NotFound(f"{' and '.join(missing)} bandwidth limit of {owner} is gone")


def _check_pod_side(host: Host, attachment: Attachment, fd: int) -> None:
    links, addresses = host.look_into_pod(fd)
    inside = next((link for link in links if link.name == attachment.ifname), None)
    if inside is None or not inside.is_up:
        raise NotFound(f"{attachment.ifname} of {hostports.describe(attachment)} is {'down' if inside else 'gone'} in its namespace")
    held = {found.address for found in addresses if found.index == inside.index}
    if missing := [str(address) for address in attachment.addresses if address not in held]:
        raise NotFound(f"{attachment.ifname} of {hostports.describe(attachment)} has lost {', '.join(missing)}")
