"""Keeps the node's side of the pod network as it was made, while the agent runs.

Another program may flush routes, restart networking, take a link off its bridge or turn forwarding off: what the kernel
announces is looked at a moment later, everything at once, and what is missing is put back (manager, repair). Looks are
rare: news of anything else count for nothing, many news are one look, and no more than a small part of the time goes
into looking, however many pods come and go. Per-device settings change without a word, so there is a look now and then.
Pods' links that are gone are for others to make again.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from loguru import logger

from agent.errand import Errand
from agent.kernel import link, netlink
from agent.kernel.host import Host
from agent.kernel.netlink import Reply
from agent.kernel.nodewatch import NodeWatch
from agent.kernel.route import RTM_DELADDR, RTM_DELROUTE, RTM_NEWADDR, RTM_NEWROUTE, RTPROT_PODWRIGHT
from agent.kernel.sysctl import Sysctl
from agent.network import forwarding
from agent.network.manager import NetworkManager
from agent.network.node import LOOPBACK
from agent.network.tables import Tables
from agent.objects.meta import Key

_SETTLE_S = 0.2
_SHARE = 20
"""A look is followed by a pause that is so many times as long."""
_INTERVAL_S = 15.0
_RTM_NEWNETCONF, _NETCONFA_IFINDEX = 80, 1
_ALL_DEVICES = struct.pack("=i", -1)
_INDEX = struct.Struct("=4xi")
_PROTOCOL_OFFSET = 5


class Keeper:
    """It listens from the moment it is made. `settings`: those that make the node a router; `gone` hears of pods whose
    link is no more."""

    def __init__(self, settings: Sequence[Sysctl], run_dir: Path, gone: Callable[[Key], None]) -> None:
        self._settings, self._run_dir, self._gone = settings, run_dir, gone
        self._watch = NodeWatch()
        self._stopped = threading.Event()
        self._pause_s = _SETTLE_S
        self._errand = Errand("keeping the node's side", self._look)
        self._thread = threading.Thread(target=self._listen, name="keeper", daemon=True)

    def start(self, host: Host, interfaces: NetworkManager, tables: Tables) -> None:
        """When the network is up."""
        self._host, self._interfaces, self._tables = host, interfaces, tables
        self._errand.start()
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._watch.wake()
        if self._thread.is_alive():
            self._thread.join()
        self._errand.stop()
        self._watch.close()

    def _listen(self) -> None:
        next_look = 0.0
        while not self._stopped.is_set():
            self._watch.wait(max(0.0, next_look - time.monotonic()))
            if self._stopped.wait(self._pause_s):
                return
            news = self._watch.read()
            bridge = self._interfaces.bridge_index
            if news is None or time.monotonic() >= next_look or any(is_news(each, bridge) for each in news):
                self._errand.ring()
                next_look = time.monotonic() + _INTERVAL_S

    def _look(self) -> None:
        started = time.perf_counter()
        self._keep_settings()
        for attachment in self._interfaces.keep():
            self._gone(Key("Pod", attachment.pod.namespace, attachment.pod.name))
        took_s = time.perf_counter() - started
        logger.debug("looked at the node's side in {:.1f} ms", took_s * 1e3)
        self._pause_s = max(_SETTLE_S, _SHARE * took_s)

    def _keep_settings(self) -> None:
        """If another program had the node forward, and stopped it, then from now on it is us who do."""
        changed = forwarding.note(self._run_dir, self._settings)
        if changed:
            logger.warning("settings of the node were changed, putting them back: {}", "; ".join(map(str, changed)))
            self._tables.forward_only_ours(forwarding.turned_on(self._run_dir, self._interfaces.network.families))
            self._host.ensure_settings(changed)


def is_news(announced: Reply, bridge_index: int) -> bool:
    """Is it about a link, address, route or neighbour of ours? Pure, and a matter of a microsecond."""
    if announced.kind in (RTM_NEWROUTE, RTM_DELROUTE):
        return announced.payload[_PROTOCOL_OFFSET] == RTPROT_PODWRIGHT
    if announced.kind == _RTM_NEWNETCONF:
        return netlink.attribute_map(announced.payload[4:]).get(_NETCONFA_IFINDEX) == _ALL_DEVICES
    (index,) = _INDEX.unpack_from(announced.payload)
    is_gateway = announced.kind in (RTM_NEWADDR, RTM_DELADDR) and index == LOOPBACK
    return is_gateway or index == bridge_index or link.is_chosen(index)
