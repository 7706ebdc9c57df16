"""One range of pod addresses: which are free, and in which order they are given out.

Addresses are plain integers here; nothing is ever listed, so a /64 costs as much as a /30. A cursor walks the
range once as a ring and yields fresh addresses; an address that was ever used is for ever in one of three
places: taken, quarantined, or the queue of released ones, from which the one released longest ago is taken.
The cursor passes every address at most once, so each operation is O(1), amortised.

The rules of the wire: IPv4 never gives the network, the broadcast and the gateway (first) address; IPv6 never
gives the subnet-router anycast and the gateway, and has no broadcast. Decisions over several ranges, owners and
error texts are ipam.py's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from agent.errors import InvalidObject
from agent.objects.meta import IPAddress, IPNetwork

QUEUE_LIMIT = 4096
"""With more released addresses than this the oldest goes out before a fresh one: else a /64 would remember
every address it ever gave. It has then been cold for thousands of releases."""


@dataclass(frozen=True, slots=True)
class RangeUsage:
    network: IPNetwork
    total: int
    used: int
    quarantined: int

    @property
    def free(self) -> int:
        return self.total - self.used - self.quarantined

    def __str__(self) -> str:
        quarantine = f", {self.quarantined} in quarantine" if self.quarantined else ""
        return f"{self.network} ({self.used} used{quarantine})"


class AddressRange:
    """`reserved` addresses are never given out, like the gateway."""

    def __init__(self, network: IPNetwork, reserved: Iterable[IPAddress] = ()) -> None:
        ends_with_broadcast = network.version == 4
        self.network = network
        self._make = type(network.network_address)
        self._first = int(network.network_address) + 2
        self._size = network.num_addresses - (3 if ends_with_broadcast else 2)
        if self._size < 1:
            raise InvalidObject(f"pod CIDR {network} is too small to give addresses: use /{network.max_prefixlen - 2} or larger")
        self._reserved = frozenset(int(address) for address in reserved if address in network and self._is_usable(int(address)))
        self._taken: set[int] = set()
        self._quarantined: set[int] = set()
        self._released: OrderedDict[int, int] = OrderedDict()
        self._cursor = 0
        self._unvisited = self._size

    @property
    def usage(self) -> RangeUsage:
        return RangeUsage(self.network, self._size - len(self._reserved), len(self._taken), len(self._quarantined))

    @property
    def span(self) -> str:
        return f"{self._make(self._first)}-{self._make(self._first + self._size - 1)}"

    def never_given(self, address: IPAddress) -> str:
        """What an address of this network is, if it is not a pod's to have ("the gateway"); "" if it is."""
        number = int(address)
        if number == self._first - 2:
            return "the network address" if address.version == 4 else "the subnet-router anycast address"
        if number == self._first - 1:
            return "the gateway"
        if number == self._first + self._size:
            return "the broadcast address"
        return "reserved for the node" if number in self._reserved else ""

    def is_quarantined(self, address: IPAddress) -> bool:
        return int(address) in self._quarantined

    def fresh(self, part: IPNetwork | None = None) -> IPAddress | None:
        """The next address that was never used, unless so many cooled down that the queue should be drained first.
        `part`: of these only, lowest first; it costs as much as there are used ones below."""
        if part is not None and part != self.network:
            numbers = range(int(part.network_address), int(part.broadcast_address) + 1)
            return next((self._make(n) for n in numbers if self._is_usable(n) and not self._was_used(n)), None)
        if len(self._released) > QUEUE_LIMIT:
            return None
        while self._unvisited:
            number = self._first + self._cursor % self._size
            if not self._was_used(number):
                return self._make(number)
            self._cursor += 1
            self._unvisited -= 1
        return None

    def oldest_released(self, part: IPNetwork | None = None) -> tuple[int, IPAddress] | None:
        """(when it was released, address) of the one released longest ago; of `part` only."""
        for number, when in self._released.items():
            if part is None or self._make(number) in part:
                return when, self._make(number)
        return None

    def take(self, address: IPAddress) -> None:
        self._released.pop(int(address), None)
        self._taken.add(int(address))

    def resume_after(self, address: IPAddress) -> None:
        """Start the ring behind the highest address in use: those below may have been released just before a restart."""
        if self._unvisited == self._size:
            self._cursor = max(self._cursor, int(address) - self._first + 1)

    def give_back(self, address: IPAddress, when: int, *, quarantine: bool) -> None:
        self._taken.discard(int(address))
        if quarantine:
            self._quarantined.add(int(address))
        else:
            self._released[int(address)] = when

    def end_quarantine(self, address: IPAddress, when: int) -> None:
        if int(address) in self._quarantined:
            self._quarantined.discard(int(address))
            self._released[int(address)] = when

    def _is_usable(self, number: int) -> bool:
        return self._first <= number < self._first + self._size

    def _was_used(self, number: int) -> bool:
        return number in self._taken or number in self._released or number in self._quarantined or number in self._reserved
