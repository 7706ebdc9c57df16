"""How much pods have sent and got since the agent started: a total that only grows, though their links come and go.

It is brought up to date when somebody asks, so it costs nothing otherwise; what a pod carried between the last
question and its end is not in it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import closing

from agent.kernel import counters
from agent.kernel.counters import Counters
from agent.kernel.netlink import NETLINK_ROUTE, NetlinkSocket
from agent.network.node import POD_LINK_PREFIX


def read() -> Mapping[str, Counters]:
    """Of the pods' links, by name."""
    with closing(NetlinkSocket(NETLINK_ROUTE)) as socket:
        return {name: found for name, found in counters.list_(socket).items() if name.startswith(POD_LINK_PREFIX)}


class Meter:
    """May be asked from any thread. `look` gives the counters of the links there are."""

    def __init__(self, look: Callable[[], Mapping[str, Counters]] = read) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._total = Counters()
        self._last: Mapping[str, Counters] = {}

    def total(self) -> Counters:
        """`received` is what pods sent."""
        with self._lock:
            now = self._look()
            for name, found in now.items():
                self._total += found.since(self._last.get(name, Counters()))
            self._last = now
            return self._total
