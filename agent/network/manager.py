"""Pod interfaces from promise to removal: leases, links and firewall elements kept in step.

An attach is promised addresses and ports (leases.py, microseconds), then works without a lock: the record goes to the
disk while links and firewall are built, and the caller hears of success when all of it is done. On any error
everything is taken back. Killed in between, the next start finds either a record without a finished link or a link
without a record, and removes it (reconcile.py). Detach answers when the link is gone; the addresses wait in
quarantine until their connections are flushed.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

from loguru import logger
from msgspec import structs

from agent import metrics, teardown
from agent.config import Mode
from agent.errors import AlreadyExists, InvalidObject, KernelError, NotFound, PodwrightError
from agent.kernel import conntrack, link, netns
from agent.kernel.host import Host
from agent.kernel.netlink import Request
from agent.network import alter, bandwidth, chained, datapath, hostports, inspect, node, reconcile, repair
from agent.network.address_range import RangeUsage
from agent.network.leases import Leases
from agent.network.node import NodeNetwork
from agent.network.request import AttachRequest, AttachResult, result
from agent.network.tables import Tables
from agent.objects.attachment import Attachment, AttachmentKey, Bandwidth, NetnsIdentity, Protocol
from agent.objects.meta import IPAddress, ObjectMeta
from agent.store.base import Store

_BRIDGE_PORTS = 1023
_GATHER_S = 0.1
"""The connections of pods that end within this time are flushed together: each flush walks the kernel's whole table."""


class NetworkManager:
    """`boot_id` is /proc/sys/kernel/random/boot_id. Call start() before anything else."""

    def __init__(self, network: NodeNetwork, *, host: Host, tables: Tables, store: Store, boot_id: str) -> None:
        self.network = network
        self._host, self._tables, self._store, self._boot_id = host, tables, store, boot_id
        self._leases = Leases(network.pod_cidrs, reserved=network.node_ips)
        self._bridge_index = 0
        self._is_closing = threading.Event()
        self._cleaners = ThreadPoolExecutor(1, thread_name_prefix="conntrack")

    # -- start ------------------------------------------------------------------------------------------------

    def start(self) -> tuple[Attachment, ...]:
        """Bring the node's side up and take over what an earlier agent left. Returns the attachments that are lost:
        their records are kept for the caller, who rebuilds its own pods and detaches the rest."""
        self._ensure_node()
        records = [found for found in self._store.list("Attachment")[0] if isinstance(found, Attachment)]
        recovery = reconcile.plan(records, self._host.list_links(), self._boot_id)
        for attachment in (*recovery.alive, *recovery.dead):
            self._leases.take_over(attachment)
        self._tables.start(recovery.alive)
        for leftover in recovery.leftovers:
            logger.info("removing leftover link {} ({})", leftover.name, leftover.alias or "no alias")
            self._host.remove_link(leftover.index)
        gone = repair.ensure_reach(self._host, self.network, recovery.alive, self._bridge_index)
        lost = (*recovery.dead, *gone)
        self._leases.lose(lost)
        self._cleaners.submit(repair.forget_strangers, self.network, self._leases.holds)
        alter.settle_limits(self._host, [each for each in recovery.alive if each not in gone])
        logger.info("network {} is up: {}", self.network.mode, recovery)
        return lost

    def _ensure_node(self) -> None:
        if self.network.mode is Mode.ROUTED:
            self._host.apply(datapath.routed_requests(self.network))
            return
        self._host.apply(datapath.bridge_links(self.network))
        bridge = self._host.find_link(self.network.bridge)
        if bridge is None or not datapath.is_our_bridge(bridge):
            what = "is no bridge" if bridge is None or bridge.kind != "bridge" else "is another program's bridge"
            raise AlreadyExists(f"link {self.network.bridge} exists and {what}", hint="choose another name with network.bridge")
        self._bridge_index = bridge.index
        self._host.apply(datapath.bridge_addresses(self.network, bridge.index, bridge.mac))

    def keep(self) -> tuple[Attachment, ...]:
        """Put back what others took from the node's side. Returns those whose host veth itself is gone: their pods' end
        went with it. The attachments come before the look: what came or changed since must not be taken for missing."""
        settled = self._leases.settled()
        seen = repair.look(self._host)
        if not repair.is_node_whole(self.network, seen, self._bridge_index):
            logger.warning("the node's side of the pod network was changed, putting it right")
            self._ensure_node()
            seen = repair.look(self._host)
        gone = repair.without_link(settled, seen.links)
        there = {each.attachment_key: each for each in settled if each not in gone}
        missing = repair.plan_each(self.network, tuple(there.values()), seen, self._bridge_index)
        teardown.run_all([partial(self._put_back, there[key], requests) for key, requests in missing.items()])
        return gone

    def _put_back(self, attachment: Attachment, requests: Sequence[Request]) -> None:
        with self._leases.exclusive(attachment.attachment_key):
            if self._leases.get(attachment.attachment_key) is not attachment or not self._host.has_link(attachment.host_ifindex):
                return
            logger.warning("putting back what {} lost: {}", hostports.describe(attachment), "; ".join(map(str, requests)))
            self._host.apply(requests)

    # -- attach -----------------------------------------------------------------------------------------------

    def attach(self, request: AttachRequest) -> Attachment:
        """Give the namespace its interface. All or nothing. Raises AlreadyExists, Exhausted, InvalidObject, KernelError."""
        with metrics.ATTACH_SECONDS.time():
            return self._attach(request)

    def _attach(self, request: AttachRequest) -> Attachment:
        fd = netns.open_network(request.netns)
        try:
            if netns.is_own(request.netns):
                raise InvalidObject(f"netns {request.netns} is the node's own network namespace")
            with self._leases.exclusive(request.key), ExitStack() as undo:
                bandwidth.check(request.bandwidth)
                found = chained.find(self._host, fd, request.key) if request.is_chained else None
                attachment = self._leases.promise(request, partial(self._describe, request, os.fstat(fd).st_ino, found))
                undo.callback(self._leases.take_back, attachment)
                saved = self._store.create_soon(attachment)
                undo.callback(self._forget, attachment)
                self._build(attachment, fd, undo)
                saved.result()
                undo.pop_all()
        finally:
            os.close(fd)
        return attachment

    def rebuild(self, key: AttachmentKey, path: str) -> Attachment:
        """Make a lost interface again in the namespace at `path`, with the addresses and ports it has. Of the old one its
        host veth may be left for a moment: a namespace that nobody holds any more takes its time to die."""
        with ExitStack() as stack:
            fd = netns.open_network(path)
            stack.callback(os.close, fd)
            stack.enter_context(self._leases.exclusive(key))
            undo = stack.enter_context(ExitStack())
            old = self._leases.get(key)
            if old is None:
                raise NotFound(f"interface {key.ifname} of container {key.container_id} is not attached")
            attachment = structs.replace(
                old,
                metadata=_versionless(old),
                netns=NetnsIdentity(path=path, inode=os.fstat(fd).st_ino),
                boot_id=self._boot_id,
                host_ifindex=self._leases.take_index(),
                mtu=self.network.mtu,
            )
            self._remove_links(old)
            saved = self._store.update_soon(attachment)
            self._build(attachment, fd, undo)
            saved.result()
            undo.pop_all()
            self._leases.update(attachment)
        return attachment

    def _describe(
        self, request: AttachRequest, inode: int, found: chained.Found | None, addresses: tuple[IPAddress, ...], index: int
    ) -> Attachment:
        key = request.key
        described = Attachment(
            metadata=ObjectMeta(name=key.digest, labels=dict(request.labels)),
            network=key.network,
            container_id=key.container_id,
            ifname=key.ifname,
            netns=NetnsIdentity(path=request.netns, inode=inode),
            boot_id=self._boot_id,
            pod=request.pod,
            addresses=addresses,
            mac=request.mac or node.mac_of(addresses),
            mtu=self.network.mtu,
            host_ifname=datapath.host_ifname(key),
            host_ifindex=index,
            ports=request.ports,
            bandwidth=request.bandwidth,
            ipam=request.ipam,
        )
        return found.described(described) if found else described

    def _build(self, attachment: Attachment, fd: int, undo: ExitStack) -> None:
        if attachment.is_chained:
            change = chained.attach(self._host, attachment)
        else:
            change = datapath.attach(self.network, attachment, netns_fd=fd, bridge_index=self._bridge_index)
        # the kernel goes on behind a request that it refused: routes may be there without the link
        undo.callback(self._host.apply, datapath.detach(attachment, self._bridge_index))
        undo.callback(self._remove_links, attachment)
        try:
            self._host.apply(change.host)
        except KernelError as error:
            raise _explained(error, attachment) from error
        undo.callback(self._tables.remove, attachment)
        self._tables.add(attachment)
        if change.pod:
            self._host.apply_in_pod(fd, change.pod_settings, change.pod)
        self._forget_early_clients(attachment)
        self._host.apply(change.seal)

    def _remove_links(self, attachment: Attachment) -> None:
        links = [] if attachment.is_chained else [attachment.host_ifindex]
        links += [bandwidth.shaper_ifindex(attachment)] if attachment.bandwidth.egress_rate else []
        teardown.run_all([partial(self._host.remove_link, index) for index in links])
        if attachment.is_chained:
            self._host.apply(chained.release(attachment))

    def _forget_early_clients(self, attachment: Attachment) -> None:
        """Whoever sent to a host port before it was there would go on meeting the node, or the port's last pod, for as
        long as it sends. After the firewall's elements, so that no new entry of that kind can arise."""
        ports = [port for port in attachment.ports if port.protocol is not Protocol.TCP]
        local = {found.address for found in self._host.list_addresses()} if ports else set()
        for port in ports:
            try:
                conntrack.flush_port(port.protocol, port.host_port, hostports.whereabouts(port, local))
            except KernelError as error:
                logger.warning("cannot flush connections to host port {}/{}: {}", port.host_port, port.protocol, error)

    def _forget(self, attachment: Attachment) -> None:
        self._store.delete(attachment.key)

    # -- detach -----------------------------------------------------------------------------------------------

    def detach(self, key: AttachmentKey, *, only_if: Callable[[Attachment], bool] = lambda _: True) -> None:
        """Absence is success. When it returns, link and ports are free for others; the addresses follow when their
        connections are flushed. `only_if` is asked when nothing else is under way for that key."""
        with metrics.DETACH_SECONDS.time(), self._leases.exclusive(key):
            attachment = self._leases.get(key)
            if attachment is None or not only_if(attachment):
                return
            forgotten = self._store.delete_soon(attachment.key)
            teardown.run_all(
                (
                    lambda: self._tables.remove(attachment),
                    lambda: self._remove_links(attachment),
                    lambda: self._host.apply(datapath.detach(attachment, self._bridge_index)),
                    forgotten.result,
                )
            )
            self._leases.release(attachment)
        self._cleaners.submit(self._flush)

    def _flush(self) -> None:
        """Connections of a dead pod must not meet the next holder of its address. Many pods share one walk of the table."""
        if self._leases.has_quarantined:
            self._is_closing.wait(_GATHER_S)
        if not (addresses := self._leases.take_quarantined()):
            return
        try:
            conntrack.flush(addresses)
        except (PodwrightError, OSError) as error:
            logger.warning("cannot flush connections of {}: {}", addresses, error)
        finally:
            self._leases.end_quarantine(addresses)

    # -- change -----------------------------------------------------------------------------------------------

    def limit(self, key: AttachmentKey, wanted: Bandwidth) -> None:
        """Other bandwidth limits for an interface that stands. Raises InvalidObject, KernelError."""
        bandwidth.check(wanted)

        def act(old: Attachment, new: Attachment) -> bool:
            alter.limit(self._host, self._tables, old, new)
            return True

        self._alter(key, lambda old: structs.replace(old, bandwidth=wanted), act)

    def resize(self, mtu: int) -> None:
        """The MTU of all pod links and of the bridge. What is sent into grows first and shrinks last."""
        is_growing = mtu > self.network.mtu
        self.network = dataclasses.replace(self.network, mtu=mtu)
        steps: list[Callable[[], object]] = [partial(self._resize_pod, key, mtu) for key in self._leases.list_keys()]
        if self._bridge_index:
            steps.insert(len(steps) if is_growing else 0, partial(self._host.apply, (link.set_mtu(self._bridge_index, mtu),)))
        teardown.run_all(steps)

    def _resize_pod(self, key: AttachmentKey, mtu: int) -> None:
        self._alter(key, lambda old: structs.replace(old, mtu=mtu), partial(alter.resize, self._host))

    def _alter(self, key: AttachmentKey, change: Callable[[Attachment], Attachment], act: Callable[[Attachment, Attachment], bool]) -> None:
        """In the kernel, then on record: killed in between, the next start applies the record again. Not for lost ones."""
        with self._leases.exclusive(key):
            old = self._leases.get(key)
            if old is None or not self.is_standing(old) or (new := change(old)) == old or not act(old, new):
                return
            new = structs.replace(new, metadata=_versionless(new))
            self._store.update(new)
            self._leases.update(new)

    # -- questions --------------------------------------------------------------------------------------------

    @property
    def bridge_index(self) -> int:
        """0 in routed mode."""
        return self._bridge_index

    def get(self, key: AttachmentKey) -> Attachment | None:
        return self._leases.get(key)

    def is_standing(self, attachment: Attachment) -> bool:
        """False for one that was found lost at start and not yet been made again."""
        return self._leases.is_standing(attachment)

    def is_alive(self, key: AttachmentKey) -> bool:
        """The host veth is there; it goes with the pod's namespace. Paths and inodes are only hints."""
        attachment = self._leases.get(key)
        return attachment is not None and self.is_standing(attachment) and self._host.has_link(attachment.host_ifindex)

    def check(self, key: AttachmentKey, path: str) -> Attachment:
        """The attachment, after it was looked at in the kernel. Raises NotFound, InvalidObject."""
        attachment = self._leases.get(key)
        if attachment is None:
            raise NotFound(f"interface {key.ifname} of container {key.container_id} is not attached to network {key.network}")
        inspect.check(self._host, attachment, path)
        return attachment

    def list_keys(self, network: str | None = None) -> tuple[AttachmentKey, ...]:
        """Of one network, or of all."""
        return tuple(key for key in self._leases.list_keys() if network in (None, key.network))

    def problems(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What pods that are attached suffer from, and what only new ones would."""
        if not self._bridge_index:
            return (), ()
        bridge = self._host.find_link(self.network.bridge)
        lost = () if bridge and bridge.is_up else (f"bridge {self.network.bridge} is {'down' if bridge else 'gone'}",)
        is_full = len(self._leases.list_keys()) >= _BRIDGE_PORTS
        return lost, (f"bridge {self.network.bridge} has {_BRIDGE_PORTS} ports, the most there can be",) if is_full else ()

    def usage(self) -> tuple[RangeUsage, ...]:
        return self._leases.usage()

    def result_of(self, attachment: Attachment) -> AttachResult:
        return result(self.network, attachment)

    def close(self) -> None:
        self._is_closing.set()
        self._cleaners.shutdown()


def _versionless(attachment: Attachment) -> ObjectMeta:
    """Without the version it was loaded with: the manager is the only writer."""
    return structs.replace(attachment.metadata, resource_version="")


def _explained(error: KernelError, attachment: Attachment) -> PodwrightError:
    """The errors of link creation that a caller can do something about."""
    if error.errno == errno.EEXIST:
        return AlreadyExists(
            f"interface {attachment.ifname} exists already in {attachment.netns.path}", hint="delete it or use another CNI_IFNAME"
        )
    if error.errno == errno.EXFULL:
        return KernelError(error.errno, error.request, f"a bridge has {_BRIDGE_PORTS} ports at most; use network.mode routed")
    return error
