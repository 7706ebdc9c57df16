"""Changes a pod interface that stands, in the kernel: its bandwidth limits and its MTU. The record is the manager's.

A namespace's path can be reused, so the pod's end is only touched where the inode is the one that was attached. The
ends of a veth must agree: what the wider one sends, the narrower one drops without a word.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from loguru import logger

from agent.errors import CallerError, KernelError, NotFound
from agent.kernel import netns
from agent.kernel.host import Host
from agent.network import bandwidth, datapath, hostports
from agent.network.tables import Tables
from agent.objects.attachment import Attachment


def settle_limits(host: Host, attachments: Iterable[Attachment]) -> None:
    """At start: an earlier agent may have been killed between a limit and its record."""
    qdiscs = [found for found in host.list_qdiscs() if found.bucket]
    for attachment in attachments:
        try:
            host.apply(bandwidth.settle(attachment, datapath.alias(attachment), qdiscs))
        except KernelError as error:
            logger.warning("bandwidth of {}: {}", hostports.describe(attachment), error)


def limit(host: Host, tables: Tables, old: Attachment, new: Attachment) -> None:
    """The shaping link is there before packets are handed to it, and until none are any more."""
    host.apply(bandwidth.settle(new, datapath.alias(new), host.list_qdiscs()))
    tables.change(old, new)
    if old.bandwidth.egress_rate and not new.bandwidth.egress_rate:
        host.remove_link(bandwidth.shaper_ifindex(old))


def resize(host: Host, old: Attachment, new: Attachment) -> bool:
    """Both ends, the receiving host's before the pod's where they grow; False where the pod's is out of reach."""
    if new.is_chained:
        return False
    change = datapath.resize(new)
    try:
        with _namespace_of(new) as fd:
            if new.mtu > old.mtu:
                host.apply(change.host)
            host.apply_in_pod(fd, (), change.pod)
            if new.mtu < old.mtu:
                host.apply(change.host)
    except CallerError as error:
        logger.warning("{} keeps its MTU of {}: {}", hostports.describe(old), old.mtu, error)
        return False
    return True


@contextmanager
def _namespace_of(attachment: Attachment) -> Iterator[int]:
    path, inode = attachment.netns.path, attachment.netns.inode
    fd = netns.open_network(path)
    try:
        if os.fstat(fd).st_ino != inode:
            raise NotFound(f"{path} is another namespace by now")
        yield fd
    finally:
        os.close(fd)
