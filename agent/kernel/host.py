"""The node's network namespace as one object: its request socket, its link watch, and short visits to pods.

The only writer of links, addresses, routes and neighbours. Requests go out in the order given; several threads
may call at once.
"""

from __future__ import annotations

import errno
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import TypeVar

from agent.errors import KernelError
from agent.kernel import link, neigh, netns, route, sysctl, tc
from agent.kernel.link import Link
from agent.kernel.linkwatch import LinkWatch
from agent.kernel.neigh import Forwarding, Neighbour
from agent.kernel.netlink import NETLINK_ROUTE, NetlinkSocket, Request
from agent.kernel.route import Address, Route
from agent.kernel.sysctl import PodSettings, Sysctl
from agent.kernel.tc import RootQdisc

_T = TypeVar("_T")
_SOCKETS = 4
"""Requests on one socket queue behind each other's answers; more sockets than cores add nothing."""


class Host:
    def __init__(self, changed: Callable[[Link], None] = lambda _: None) -> None:
        self._sockets: queue.SimpleQueue[NetlinkSocket] = queue.SimpleQueue()
        for _ in range(_SOCKETS):
            self._sockets.put(NetlinkSocket(NETLINK_ROUTE))
        self._watch = LinkWatch(changed)
        self._visitor = ThreadPoolExecutor(1, thread_name_prefix="pod")
        self._pod_settings = PodSettings()

    def apply(self, requests: Sequence[Request]) -> None:
        """All requests in order, in one message to the kernel. Raises the first KernelError."""
        socket = self._sockets.get()
        try:
            socket.transact(requests)
        finally:
            self._sockets.put(socket)

    def apply_in_pod(self, netns_fd: int, settings: Sequence[Sysctl], requests: Sequence[Request]) -> None:
        with self._in_pod(netns_fd, settings) as socket:
            socket.transact(requests)

    def _in_pod(self, netns_fd: int, settings: Sequence[Sysctl]) -> NetlinkSocket:
        """Visit a pod's namespace on the caller's thread, but for the main one: its namespaces are /proc/self's."""
        if threading.current_thread() is threading.main_thread():
            return self._visitor.submit(self._visit, netns_fd, settings).result()
        return self._visit(netns_fd, settings)

    def _visit(self, netns_fd: int, settings: Sequence[Sysctl]) -> NetlinkSocket:
        """A socket keeps the namespace it was made in, so only its making and the settings need the visit."""
        with netns.entered(netns_fd), ExitStack() as on_error:
            socket = on_error.enter_context(NetlinkSocket(NETLINK_ROUTE))
            self._pod_settings.write(settings)
            on_error.pop_all()
        return socket

    def ensure_settings(self, settings: Sequence[Sysctl]) -> None:
        for setting in settings:
            sysctl.ensure(setting)

    def remove_link(self, index: int) -> None:
        """Returns when the link is gone from the namespace. Absent: no-op."""
        self._watch.remove(index)

    def list_links(self) -> list[Link]:
        return self._answer(link.list_)

    def list_addresses(self) -> list[Address]:
        return self._answer(route.list_addresses)

    def list_routes(self) -> list[Route]:
        return self._answer(route.list_routes)

    def list_neighbours(self) -> list[Neighbour]:
        """The permanent ones."""
        return self._answer(neigh.list_permanent)

    def list_forwarding(self) -> list[Forwarding]:
        return self._answer(neigh.list_forwarding)

    def list_qdiscs(self) -> list[RootQdisc]:
        return self._answer(tc.list_roots)

    def find_link(self, name: str) -> Link | None:
        return self._answer(lambda socket: link.find(socket, name))

    def has_link(self, index: int) -> bool:
        """Without listing them all."""
        try:
            self.apply((link.settle(index),))
        except KernelError as error:
            if error.errno != errno.ENODEV:
                raise
            return False
        return True

    def look_into_pod(self, netns_fd: int) -> tuple[list[Link], list[Address]]:
        """Links and addresses of a pod's namespace."""
        with self._in_pod(netns_fd, ()) as socket:
            return link.list_(socket), route.list_addresses(socket)

    def close(self) -> None:
        self._visitor.shutdown()
        self._watch.close()
        with suppress(queue.Empty):
            while True:
                self._sockets.get_nowait().close()

    def _answer(self, ask: Callable[[NetlinkSocket], _T]) -> _T:
        socket = self._sockets.get()
        try:
            return ask(socket)
        finally:
            self._sockets.put(socket)
