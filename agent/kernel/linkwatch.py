"""One thread that hears of every link change, and removes links through the same socket.

Why removal is here: the kernel ends RTM_DELLINK, and with it the sendmsg that asked for it, only after an RCU barrier
(16 to 24 ms, measured), but announces the deletion after 0.7 to 1.4 ms. So the request is sent from a thread that
may be held, on a socket that is both requester and subscriber, and whichever comes first ends the caller's wait:
the announcement, or the error of a link that was not there.
A lost announcement (ENOBUFS) is made good by reading all links again.
Of links whose index we chose only the end is announced: a pod's ADD would else wake the watching thread ten times.
"""

from __future__ import annotations

import errno
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from loguru import logger

from agent.errors import DeadlineExceeded, KernelError, PodwrightError
from agent.kernel import bpf, link, netlink
from agent.kernel.link import RTM_DELLINK, RTM_NEWLINK, RTNLGRP_LINK, Link
from agent.kernel.netlink import NETLINK_ROUTE, NLMSG_ERROR, NetlinkListener, NetlinkSocket, Reply
from agent.killpoint import reach

_AF_BRIDGE = 7
_PAUSE_S = 0.05
_KIND_OFFSET, _INDEX_OFFSET = 4, 20
"""nlmsghdr's type, and ifinfomsg's index behind it."""
_SENDERS = 16
"""More deletions at once only wait for each other in the kernel."""


class _Waiter:
    def __init__(self, index: int) -> None:
        self.index = index
        self.error: KernelError | None = None
        self._done = threading.Event()

    def finish(self, error: KernelError | None = None) -> None:
        self.error = error
        self._done.set()

    def wait(self, timeout_s: float) -> bool:
        return self._done.wait(timeout_s)


class LinkWatch:
    """Start it in the namespace whose links it shall watch. `changed(link)` hears of new, changed and deleted ones
    on the watching thread: be quick. Of our own it hears when they are deleted, and after a loss."""

    def __init__(self, changed: Callable[[Link], None] = lambda _: None) -> None:
        self._changed = changed
        self._listener = NetlinkListener(NETLINK_ROUTE, [RTNLGRP_LINK])
        self._listener.ignore_where(bpf.half_is(_KIND_OFFSET, RTM_NEWLINK), bpf.word_has(_INDEX_OFFSET, link.CHOSEN_INDEX_BITS))
        self._reader = NetlinkSocket(NETLINK_ROUTE)
        self._sequence = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting: dict[int, _Waiter] = {}
        self._senders = ThreadPoolExecutor(_SENDERS, thread_name_prefix="unlink")
        self._thread = threading.Thread(target=self._listener.run, args=(self._handle, self._resync), name="links", daemon=True)
        self._thread.start()

    def remove(self, index: int, *, timeout_s: float = 10.0) -> None:
        """Delete the link and return when it is gone from the namespace. Absent: no-op."""
        request = link.remove(index)
        waiter = _Waiter(index)
        reach(f"netlink before {request}")
        with self._lock:
            sequence = next(self._sequence)
            self._waiting[sequence] = waiter
        self._senders.submit(self._listener.send, request.encode(sequence, acknowledge=True))
        finished = waiter.wait(timeout_s)
        with self._lock:
            self._waiting.pop(sequence, None)
        reach(f"netlink after {request}")
        if not finished:
            raise DeadlineExceeded(f"kernel did not delete link {index} within {timeout_s:g} s")
        if waiter.error is not None and waiter.error.errno != errno.ENODEV:
            raise waiter.error

    def close(self) -> None:
        self._senders.shutdown()
        self._listener.close()
        self._reader.close()

    def _handle(self, reply: Reply) -> None:
        if reply.kind == NLMSG_ERROR:
            self._finish_sequence(reply)
        elif reply.kind in (RTM_NEWLINK, RTM_DELLINK) and reply.payload[0] != _AF_BRIDGE:  # a port leaving its bridge is no end
            found = link.parse(reply.payload)
            if reply.kind == RTM_DELLINK:
                self._finish(lambda waiter: waiter.index == found.index)
            self._changed(found)

    def _finish_sequence(self, reply: Reply) -> None:
        with self._lock:
            waiter = self._waiting.pop(reply.sequence, None)
        if waiter is not None:
            waiter.finish(netlink.failure(reply, str(link.remove(waiter.index))))

    def _finish(self, is_meant: Callable[[_Waiter], bool]) -> None:
        with self._lock:
            done = [waiter for waiter in self._waiting.values() if is_meant(waiter)]
        for waiter in done:
            waiter.finish()

    def _read_links(self) -> dict[int, Link]:
        """Must not fail: without this thread no removal would ever be heard of."""
        while True:
            try:
                return {found.index: found for found in link.list_(self._reader)}
            except PodwrightError as error:
                logger.warning("cannot read the links, trying again: {}", error)
                time.sleep(_PAUSE_S)

    def _resync(self) -> None:
        logger.warning("link announcements were lost, reading all links again")
        present = self._read_links()
        self._finish(lambda waiter: waiter.index not in present)
        for found in present.values():
            self._changed(found)
