"""Our nftables tables, live: brings them to what the node and its attachments want, then changes elements.

What they should hold is the firewall's (pure); this module commits it and remembers it, so that tables which another
program changed can be put right at any time. A pod costs a handful of elements in one transaction, whatever the
number of pods. From Linux 6.9 tables have an owner and nobody else can write them while it lives; elsewhere a change
that is refused may mean that the tables are gone. What is found at start anybody may have changed, with or without
owners: it is replaced, which no packet notices and which takes half as long as comparing (70 ms with 500 pods).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

from loguru import logger

from agent.config import Mode
from agent.errors import KernelError
from agent.kernel import nft
from agent.kernel.nft import Batch, Element, Nft, Ruleset, Set, Table
from agent.network import firewall
from agent.network.firewall import masquerade
from agent.network.node import Foreign, NodeNetwork
from agent.objects.attachment import Attachment
from agent.objects.meta import IPNetwork


class Lodger(Protocol):
    """Who lives in our inet table beside the firewall: policy. Always called with the tables' lock held."""

    def begin(self, attachments: Iterable[Attachment]) -> None:
        """Before anything is committed."""

    def wanted(self) -> Ruleset:
        """Sets, chains and elements as they should stand; a chain takes the place of the firewall's of its name."""

    def admit(self, attachment: Attachment) -> None:
        """Before the pod's elements open it."""

    def dismiss(self, attachment: Attachment) -> None:
        """After they are gone."""


class Tables:
    """`devices` gives the names of the links there are: no chain can be put on one that is gone."""

    def __init__(self, session: Nft, network: NodeNetwork, *, devices: Callable[[], Collection[str]]) -> None:
        self._session, self._network, self._devices = session, network, devices
        self._skeleton = firewall.skeleton(network)
        self._foreign = network.foreign
        self._lock = threading.RLock()
        self._lodger: Lodger | None = None
        self._wanted: dict[str, Attachment] | None = None

    @property
    def names(self) -> tuple[Table, ...]:
        return self._skeleton.tables

    @property
    def own_port(self) -> int:
        """Whose changes are not another program's."""
        return self._session.port

    @property
    def are_owned(self) -> bool:
        return self._session.owns_tables

    def take_in(self, lodger: Lodger) -> None:
        """Before start()."""
        self._lodger = lodger

    def exclusive(self) -> AbstractContextManager[object]:
        """For a lodger that changes what it wants: nothing is put right meanwhile."""
        return self._lock

    def commit(self, batch: Batch) -> None:
        """A lodger's change, whose `wanted` is already what it leads to: one that is refused puts all of it right."""
        with self._lock:
            try:
                self._session.commit(batch)
            except KernelError as error:
                logger.error("firewall refused a change of policy, putting all of it right: {}", error)
                self._ensure(self.names)

    def list_elements(self, a_set: Set) -> Collection[Element]:
        """What the kernel holds."""
        with self._lock:
            return self._session.list_elements(a_set)

    def start(self, attachments: Iterable[Attachment]) -> None:
        """In place of what an earlier agent left, in one transaction: no packet of a living pod is lost."""
        with self._lock:
            self._wanted = {each.host_ifname: each for each in attachments}
            if self._lodger is not None:
                self._lodger.begin(self._wanted.values())
            self._ensure(self.names)

    def add(self, attachment: Attachment) -> None:
        """After the host veth exists, to which the chains are bound that some pods have."""
        chains = firewall.device_chains(self._network, attachment)
        batch = nft.put(*chains, *firewall.elements(self._network, attachment))
        with self._lock:
            if self._lodger is not None:
                self._lodger.admit(attachment)
            self._known[attachment.host_ifname] = attachment
            self._commit(batch)

    def change(self, old: Attachment, new: Attachment) -> None:
        """The device's chains; what else an attachment wants of the firewall never changes."""
        before, after = (firewall.device_chains(self._network, each) for each in (old, new))
        gone = [chain for chain in before if chain not in after]
        batch = nft.put(*(chain for chain in after if chain not in before)) + nft.destroy(*gone)
        with self._lock:
            self._known[new.host_ifname] = new
            self._commit(batch)

    def remove(self, attachment: Attachment) -> None:
        """Absence is success. The device's chains go before the device: with it they may be gone already."""
        chains = firewall.device_chains(self._network, attachment)
        batch = nft.destroy(*firewall.elements(self._network, attachment), *chains)
        with self._lock:
            self._known.pop(attachment.host_ifname, None)
            self._commit(batch)
            if self._lodger is not None:
                self._lodger.dismiss(attachment)

    def set_foreign(self, foreign: Foreign) -> None:
        with self._lock:
            before, after = (set(firewall.foreign_elements(each)) for each in (self._foreign, foreign))
            self._commit(nft.put(*(after - before)) + nft.destroy(*(before - after)))
            self._foreign = foreign

    def set_remote(self, cidrs: tuple[IPNetwork, ...]) -> None:
        """Pods of other nodes: what goes there is not masqueraded. Ranges that are no more make room for those that overlap them."""
        with self._lock:
            if cidrs == self._network.remote:
                return
            network = replace(self._network, remote=cidrs)
            before, after = (set(masquerade.node_elements(each)) for each in (self._network, network))
            self._commit(nft.destroy(*(before - after)) + nft.put(*(after - before)))
            self._network, self._skeleton = network, firewall.skeleton(network)

    def forward_only_ours(self, families: tuple[int, ...]) -> None:
        """From now on the agent is the one who has the node forward these families."""
        with self._lock:
            if families == self._network.drop_foreign_forward:
                return
            self._network = replace(self._network, drop_foreign_forward=families)
            self._skeleton = firewall.skeleton(self._network)
            self._ensure(self.names)

    def repair(self, distrusted: Collection[Table]) -> Batch:
        """Compare everything with what is wanted, and replace the tables in which rules may differ."""
        with self._lock:
            return self._ensure(distrusted)

    def remove_all(self) -> None:
        """The tables of both modes: the mode may have been changed since they were made."""
        for mode in Mode:
            nft.remove_ruleset(self._session, firewall.skeleton(replace(self._network, mode=mode)))

    @property
    def _known(self) -> dict[str, Attachment]:
        """Nothing may be compared with what is wanted before that is known: it would be taken down."""
        assert self._wanted is not None, "start() comes first"
        return self._wanted

    def _commit(self, batch: Batch) -> None:
        try:
            self._session.commit(batch)
        except KernelError as error:
            if self.are_owned:
                raise
            logger.warning("firewall refused a change, putting all of it right: {}", error)
            self._ensure(self.names)

    def _ensure(self, distrusted: Collection[Table]) -> Batch:
        devices = self._devices()
        try:
            return self._ensure_on(devices, distrusted)
        except KernelError:
            if self._devices() == devices:
                raise
            return self._ensure(distrusted)  # a device went between look and commit

    def _ensure_on(self, devices: Collection[str], distrusted: Collection[Table]) -> Batch:
        attachments = self._known.values()
        elements = [element for each in attachments for element in firewall.elements(self._network, each)]
        chains = [chain for each in attachments if each.host_ifname in devices for chain in firewall.device_chains(self._network, each)]
        elements += firewall.foreign_elements(self._foreign)
        lodged = Ruleset(()) if self._lodger is None else self._lodger.wanted()
        return nft.ensure_ruleset(
            self._session,
            self._skeleton,
            elements=(*elements, *lodged.elements),
            chains=(*chains, *lodged.chains),
            sets=lodged.sets,
            distrusted=distrusted,
        )
