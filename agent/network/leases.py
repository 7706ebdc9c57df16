"""What is promised to whom: addresses, host ports, interface indexes, and the attachments that hold them.

One lock, held for microseconds and never around a request to the kernel or the disk; an operation on one interface is
alone through `exclusive`, which is held for as long as it takes. What is promised is free again only by `take_back`
(it was never used) or `release` (its addresses stay in quarantine until their connections are flushed).
The order of releases is not kept over a restart: a write for each DEL would be the price of a mere preference. A start
flushes the connections of all free addresses, and goes on behind the highest one in use.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from loguru import logger

from agent.errors import AlreadyExists, Exhausted, InvalidObject, Unavailable
from agent.kernel import link
from agent.network import hostports
from agent.network.address_range import RangeUsage
from agent.network.hostports import HostPorts
from agent.network.ipam import Ipam
from agent.network.request import AttachRequest
from agent.objects.attachment import Attachment, AttachmentKey
from agent.objects.meta import IPAddress, IPNetwork

_PATIENCE_S = 1.0
"""For the end of a quarantine, which lasts about a tenth of this (a second, if tens of thousands of connections are walked)."""
_Make = Callable[[tuple[IPAddress, ...], int], Attachment]


class Leases:
    def __init__(self, pod_cidrs: Sequence[IPNetwork], reserved: Iterable[IPAddress]) -> None:
        self._lock = threading.Lock()
        self._free = threading.Condition(self._lock)
        self._ipam = Ipam(pod_cidrs, reserved=reserved)
        self._ports = HostPorts()
        self._attachments: dict[AttachmentKey, Attachment] = {}
        self._lost: set[AttachmentKey] = set()
        self._busy: set[AttachmentKey] = set()
        self._next_index = link.FIRST_CHOSEN_INDEX
        self._quarantined: list[IPAddress] = []

    @contextmanager
    def exclusive(self, key: AttachmentKey) -> Iterator[None]:
        """One operation per interface at a time: a DEL waits for the ADD that is under way."""
        with self._free:
            while key in self._busy:
                self._free.wait()
            self._busy.add(key)
        try:
            yield
        finally:
            with self._free:
                self._busy.discard(key)
                self._free.notify_all()

    # -- giving and taking ------------------------------------------------------------------------------------

    def promise(self, request: AttachRequest, make: _Make) -> Attachment:
        """What `make` says of the addresses and the index that it gets, with its ports. All or nothing.
        Raises AlreadyExists, Exhausted, InvalidObject."""
        key = request.key
        if hostports.conflicts_within(request.ports):
            raise InvalidObject(f"ports of {key.container_id} name one hostPort twice")
        with self._free:
            if key in self._attachments:
                raise AlreadyExists(f"interface {key.ifname} of container {key.container_id} is attached already", hint="send DEL first")
            attachment = make(self._allocate(request), self._take_index())
            try:
                self._ports.reserve(attachment)
            except AlreadyExists:
                self._ipam.release(key)
                raise
            self._attachments[key] = attachment
        return attachment

    def _allocate(self, request: AttachRequest) -> tuple[IPAddress, ...]:
        """A pod that takes another's place asks for its address, or for the last one, while the other's connections are
        being ended: it waits, as no runtime tries again by itself."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return self._choose(request)
            except (Unavailable, Exhausted):
                is_hopeless = not any(usage.quarantined for usage in self._ipam.usage())
                if is_hopeless or not self._free.wait(deadline - time.monotonic()):
                    raise

    def _choose(self, request: AttachRequest) -> tuple[IPAddress, ...]:
        if request.ipam or request.is_chained:
            return self._ipam.adopt(request.key, request.addresses)
        if request.addresses:
            return self._ipam.claim(request.key, request.addresses)
        if request.ranges:
            return self._ipam.allocate_from(request.key, request.ranges)
        return self._ipam.allocate(request.key)

    def take_index(self) -> int:
        """For the host's end of a pair; the pod's is the next."""
        with self._lock:
            return self._take_index()

    def _take_index(self) -> int:
        index = self._next_index
        self._next_index = index + 2 if index + 2 < link.LAST_CHOSEN_INDEX else link.FIRST_CHOSEN_INDEX
        return index

    def take_over(self, attachment: Attachment) -> None:
        """One on record. Two records that claim one address or port are a fault of ours: the pods live, so both stay."""
        outside: tuple[IPAddress, ...] = ()
        key = attachment.attachment_key
        with self._lock:
            self._attachments[key] = attachment
            self._next_index = max(self._next_index, (attachment.shaper_ifindex or attachment.host_ifindex + 1) + 1)
            try:
                outside = self._ipam.restore(key, attachment.addresses)
                self._ports.reserve(attachment)
            except AlreadyExists as error:
                logger.error("{} is on record with what another holds: {}", hostports.describe(attachment), error)
        if outside:
            logger.warning("{} keeps addresses outside today's pod CIDRs: {}", hostports.describe(attachment), outside)

    def take_back(self, attachment: Attachment) -> None:
        with self._lock:
            self._attachments.pop(attachment.attachment_key, None)
            self._ports.release(attachment)
            self._ipam.release(attachment.attachment_key)

    def release(self, attachment: Attachment) -> None:
        """The ports are free at once."""
        key = attachment.attachment_key
        with self._lock:
            del self._attachments[key]
            self._lost.discard(key)
            self._ports.release(attachment)
            self._quarantined += self._ipam.release(key, quarantine=True)

    @property
    def has_quarantined(self) -> bool:
        return bool(self._quarantined)

    def take_quarantined(self) -> list[IPAddress]:
        """Those that came into quarantine since the last call; the caller ends it."""
        with self._lock:
            addresses, self._quarantined = self._quarantined, []
        return addresses

    def end_quarantine(self, addresses: Iterable[IPAddress]) -> None:
        with self._free:
            self._ipam.end_quarantine(addresses)
            self._free.notify_all()

    # -- what is held -----------------------------------------------------------------------------------------

    def update(self, attachment: Attachment) -> None:
        """The same interface with other properties; it stands. The caller is alone with it."""
        with self._lock:
            self._attachments[attachment.attachment_key] = attachment
            self._lost.discard(attachment.attachment_key)

    def lose(self, attachments: Iterable[Attachment]) -> None:
        """Their links are gone. They stay promised, for whoever makes them again or gives them back."""
        with self._lock:
            self._lost |= {attachment.attachment_key for attachment in attachments}

    def get(self, key: AttachmentKey) -> Attachment | None:
        return self._attachments.get(key)

    def is_standing(self, attachment: Attachment) -> bool:
        return attachment.attachment_key not in self._lost

    def list_keys(self) -> tuple[AttachmentKey, ...]:
        with self._lock:
            return tuple(self._attachments)

    def settled(self) -> tuple[Attachment, ...]:
        """Those that stand and that nobody is at work on."""
        with self._lock:
            unsettled = self._busy | self._lost
            return tuple(attachment for key, attachment in self._attachments.items() if key not in unsettled)

    def holds(self, address: IPAddress) -> bool:
        with self._lock:
            return self._ipam.owner_of(address) is not None

    def usage(self) -> tuple[RangeUsage, ...]:
        with self._lock:
            return self._ipam.usage()
