"""Hears of every change to links, addresses, routes, neighbours, forwarding entries and router settings of a namespace.

For a reader that is in no hurry: announcements wait in the socket until `read`, so that a burst wakes nobody but once.
Who asked for a change the kernel does not always say (a link's changes come from number 0), so ours are among them.
"""

from __future__ import annotations

import os
import select

from agent.kernel.link import RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE, RTNLGRP_LINK
from agent.kernel.netlink import NETLINK_ROUTE, NetlinkListener, Reply

_RTNLGRP_NEIGH, _RTNLGRP_IPV4_NETCONF, _RTNLGRP_IPV6_NETCONF = 3, 24, 25
_GROUPS = (
    RTNLGRP_LINK,
    _RTNLGRP_NEIGH,
    RTNLGRP_IPV4_IFADDR,
    RTNLGRP_IPV4_ROUTE,
    RTNLGRP_IPV6_IFADDR,
    RTNLGRP_IPV6_ROUTE,
    _RTNLGRP_IPV4_NETCONF,
    _RTNLGRP_IPV6_NETCONF,
)


class NodeWatch:
    """Of the namespace that the calling thread is in. One reader; `wake` from any thread."""

    def __init__(self) -> None:
        self._listener = NetlinkListener(NETLINK_ROUTE, _GROUPS)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)

    def wait(self, timeout_s: float) -> None:
        """Until there is something to read, or somebody wakes us, or the time is over."""
        poll = select.poll()
        for fd in (self._listener.fileno(), self._wake):
            poll.register(fd, select.POLLIN)
        poll.poll(timeout_s * 1e3)

    def read(self) -> tuple[Reply, ...] | None:
        """Everything announced since the last call; None if some of it was lost."""
        return self._listener.read_waiting()

    def wake(self) -> None:
        """For good: every wait ends at once from now on."""
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        self._listener.close()
        os.close(self._wake)
