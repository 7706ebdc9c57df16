"""What an attach cannot go below: the same requests to the kernel, planned before the clock starts, by nobody for nobody.

No socket, no lease, no record on disk, no lock: a node of its own, its tables and links, one pod at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from pathlib import Path

from agent import config
from agent.kernel import link, netns
from agent.kernel.host import Host
from agent.kernel.nft import Nft
from agent.network import datapath, node
from agent.network.tables import Tables
from agent.objects.attachment import Attachment, AttachmentKey, PortMapping
from agent.objects.meta import ObjectMeta
from rig import reference
from rig.measure import milliseconds
from tests.prober import inside


class BareNode:
    """`pods`: a directory to make namespaces in."""

    def __init__(self, mode: str, place: Path, pods: Path, stack: ExitStack) -> None:
        self._place, self._pods = place, pods
        settings = config.load(environment={"PODWRIGHT_NETWORK__MODE": mode})
        self._network = node.from_config(settings, mtu=1500, node_ips=(), drop_foreign_forward=())
        with inside(place):
            self._host = Host()
            stack.callback(self._host.close)
            nft = Nft.open(own_tables=False)
            stack.callback(nft.close)
            self._bridge = self._make_node()
        self._tables = Tables(nft, self._network, devices=lambda: {each.name for each in self._host.list_links()})
        self._tables.start(())

    def _make_node(self) -> int:
        if self._network.mode is config.Mode.ROUTED:
            self._host.apply(datapath.routed_requests(self._network))
            return 0
        self._host.apply(datapath.bridge_links(self._network))
        bridge = self._host.find_link(self._network.bridge)
        assert bridge is not None
        self._host.apply(datapath.bridge_addresses(self._network, bridge.index, bridge.mac))
        return bridge.index

    def cycle(self) -> tuple[float, float]:
        """Milliseconds of one attach and of its detach."""
        netns.create(self._pods / "bare", kinds=("net",))
        fd = os.open(self._pods / "bare/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return self._cycle(fd)
        finally:
            os.close(fd)
            netns.remove(self._pods / "bare")

    def _cycle(self, fd: int) -> tuple[float, float]:
        attachment = self._attachment()
        change = datapath.attach(self._network, attachment, netns_fd=fd, bridge_index=self._bridge)
        leave = datapath.detach(attachment, self._bridge)

        def attach() -> None:
            self._host.apply(change.host)
            self._tables.add(attachment)
            self._host.apply_in_pod(fd, change.pod_settings, change.pod)
            self._host.apply(change.seal)

        def detach() -> None:
            self._tables.remove(attachment)
            self._host.remove_link(attachment.host_ifindex)
            self._host.apply(leave)

        with inside(self._place):
            return milliseconds(attach), milliseconds(detach)

    def _attachment(self) -> Attachment:
        key = AttachmentKey("bare", "bare", "eth0")
        addresses = (ip_address("10.73.0.2"), ip_address("fd73:7077:7269::2"))
        return Attachment(
            metadata=ObjectMeta(name=key.digest),
            network=key.network,
            container_id=key.container_id,
            ifname=key.ifname,
            addresses=addresses,
            mac=node.mac_of(addresses),
            mtu=self._network.mtu,
            host_ifname=datapath.host_ifname(key),
            host_ifindex=link.FIRST_CHOSEN_INDEX,
            ports=(PortMapping(host_port=8080, container_port=80),),
        )


@contextmanager
def bare_node(mode: str, place: Path, pods: Path) -> Iterator[BareNode]:
    with reference.namespace(place), ExitStack() as stack:
        yield BareNode(mode, place, pods, stack)
