"""Which pod interface holds which addresses: an allocator in memory, without I/O and without a clock.

The store is the record (an Attachment per interface); at start every stored one is given to `restore`, and from
then on this is the index that answers in O(1) at any size of range. Fresh addresses go first, then the one
released longest ago: cool-down is an order of preference, never a refusal. An address in quarantine (its
connections are not flushed yet) is not given out until `end_quarantine`.

All addresses of one request are chosen before the first is taken, so a failure leaves nothing behind.
Not thread-safe: the caller holds a lock around each call (attach holds one anyway, to keep lease and store in step).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from agent.errors import AlreadyExists, Exhausted, InvalidObject, Unavailable
from agent.network.address_range import AddressRange, RangeUsage
from agent.objects.attachment import AttachmentKey
from agent.objects.meta import IPAddress, IPNetwork

_Choice = tuple[AddressRange, IPAddress]


class Ipam:
    """`ranges` of both families, none overlapping; `reserved`: addresses no pod may have (the node's own)."""

    def __init__(self, ranges: Sequence[IPNetwork], reserved: Iterable[IPAddress] = ()) -> None:
        _refuse_overlap(ranges)
        self._kept = frozenset(reserved)
        self._ranges = {network: AddressRange(network, self._kept) for network in ranges}
        self._held: dict[AttachmentKey, tuple[IPAddress, ...]] = {}
        self._owner: dict[IPAddress, AttachmentKey] = {}
        self._releases = itertools.count()

    @property
    def families(self) -> tuple[int, ...]:
        return tuple(sorted({network.version for network in self._ranges}))

    def usage(self) -> tuple[RangeUsage, ...]:
        return tuple(r.usage for r in self._ranges.values())

    def addresses_of(self, owner: AttachmentKey) -> tuple[IPAddress, ...]:
        return self._held.get(owner, ())

    def owner_of(self, address: IPAddress) -> AttachmentKey | None:
        return self._owner.get(address)

    def allocate(self, owner: AttachmentKey, families: Sequence[int] | None = None) -> tuple[IPAddress, ...]:
        """One address per family (None: every family there is a range for). Raises Exhausted, AlreadyExists."""
        wanted = self.families if families is None else tuple(families)
        return self.allocate_from(owner, [self._ranges_of(family) for family in wanted])

    def allocate_from(self, owner: AttachmentKey, range_sets: Sequence[Sequence[IPNetwork]]) -> tuple[IPAddress, ...]:
        """One address from each set of ranges or parts of them; each may be in one set only.

        Raises Exhausted, AlreadyExists, InvalidObject.
        """
        self._refuse_second(owner)
        _refuse_repeats([network for networks in range_sets for network in networks], "range")
        _refuse_shared(range_sets)
        return self._grant(owner, [self._choose(networks) for networks in range_sets])

    def claim(self, owner: AttachmentKey, addresses: Sequence[IPAddress]) -> tuple[IPAddress, ...]:
        """Exactly these addresses. Raises AlreadyExists naming the holder, InvalidObject, Unavailable (in quarantine)."""
        self._refuse_second(owner)
        _refuse_repeats(addresses, "address")
        return self._grant(owner, [(self._claimable(address), address) for address in addresses])

    def adopt(self, owner: AttachmentKey, addresses: Sequence[IPAddress]) -> tuple[IPAddress, ...]:
        """Addresses that another allocator gave: in our ranges they are claimed, elsewhere held by their owner all the
        same. Raises as claim does."""
        self._refuse_second(owner)
        _refuse_repeats(addresses, "address")
        for address in addresses:
            self._refuse_taken(address)
            if address in self._kept:
                raise InvalidObject(f"address {address} is the node's own")
        choices = [(self._claimable(address), address) for address in addresses if self._range_of(address)]
        for chosen, address in choices:
            chosen.take(address)
        return self._record(owner, addresses)

    def restore(self, owner: AttachmentKey, addresses: Sequence[IPAddress]) -> tuple[IPAddress, ...]:
        """Take over a stored lease as it is. Returns the addresses that today's ranges would not give: they stay
        with their owner, and are forgotten when it releases them. Raises AlreadyExists if another owner has one."""
        self._refuse_second(owner)
        for address in addresses:
            self._refuse_taken(address)
        self._record(owner, addresses)
        for address in addresses:
            if found := self._giving_range(address):
                found.take(address)
                found.resume_after(address)
        return self._outside(addresses)

    def release(self, owner: AttachmentKey, *, quarantine: bool = False) -> tuple[IPAddress, ...]:
        """Give back what the owner holds and return it; () if that is nothing."""
        addresses = self._held.pop(owner, ())
        for address in addresses:
            del self._owner[address]
            if found := self._giving_range(address):
                found.give_back(address, next(self._releases), quarantine=quarantine)
        return addresses

    def end_quarantine(self, addresses: Iterable[IPAddress]) -> None:
        """These may be given out again; those not in quarantine are left as they are."""
        for address in addresses:
            if found := self._giving_range(address):
                found.end_quarantine(address, next(self._releases))

    def _choose(self, networks: Sequence[IPNetwork]) -> _Choice:
        candidates = [(self._configured(network), network) for network in networks]
        if len({network.version for network in networks}) > 1:
            raise InvalidObject(f"ranges {_listed(networks)} are of different families: name one set per family")
        for candidate, part in candidates:
            if (address := candidate.fresh(part)) is not None:
                return candidate, address
        released = [(*oldest, candidate) for candidate, part in candidates if (oldest := candidate.oldest_released(part))]
        if not released:
            whole = all(candidate.network == part for candidate, part in candidates)
            part_text = "" if whole else f"{networks[0][0]} to {networks[-1][-1]} of "
            usages = part_text + _listed(dict.fromkeys(candidate.usage for candidate, _ in candidates))
            raise Exhausted(f"no free address in {usages}", hint="delete pods, or add a range to network.podCIDRs")
        _, address, candidate = min(released, key=lambda entry: entry[0])
        return candidate, address

    def _grant(self, owner: AttachmentKey, choices: Sequence[_Choice]) -> tuple[IPAddress, ...]:
        for chosen, address in choices:
            chosen.take(address)
        return self._record(owner, [address for _, address in choices])

    def _record(self, owner: AttachmentKey, addresses: Sequence[IPAddress]) -> tuple[IPAddress, ...]:
        self._held[owner] = tuple(addresses)
        self._owner.update((address, owner) for address in addresses)
        return tuple(addresses)

    def _claimable(self, address: IPAddress) -> AddressRange:
        found = self._range_of(address)
        if found is None:
            raise InvalidObject(f"address {address} is in no range of this node: ask for one in {_listed(self._ranges)}")
        if role := found.never_given(address):
            raise InvalidObject(f"address {address} is {role} of {found.network}: ask for one of {found.span}")
        self._refuse_taken(address)
        if found.is_quarantined(address):
            raise Unavailable(f"address {address} was released a moment ago and its connections are still being ended: try again")
        return found

    def _ranges_of(self, family: int) -> tuple[IPNetwork, ...]:
        found = tuple(network for network in self._ranges if network.version == family)
        if not found:
            raise InvalidObject(f"no IPv{family} range on this node: add one to network.podCIDRs")
        return found

    def _configured(self, network: IPNetwork) -> AddressRange:
        """The range that `network` is, or is a part of."""
        if found := self._ranges.get(network):
            return found
        for each, found in self._ranges.items():
            if network.version == each.version and network.subnet_of(each):  # type: ignore[arg-type]
                return found
        raise InvalidObject(f"range {network} is not one of this node's: choose from {_listed(self._ranges)}")

    def _range_of(self, address: IPAddress) -> AddressRange | None:
        return next((r for network, r in self._ranges.items() if address in network), None)

    def _giving_range(self, address: IPAddress) -> AddressRange | None:
        """The range that could hand this address out today."""
        found = self._range_of(address)
        return None if found is None or found.never_given(address) else found

    def _outside(self, addresses: Sequence[IPAddress]) -> tuple[IPAddress, ...]:
        return tuple(address for address in addresses if self._giving_range(address) is None)

    def _refuse_second(self, owner: AttachmentKey) -> None:
        if owner in self._held:
            raise AlreadyExists(f"{_named(owner)} already holds {_listed(self._held[owner])}: delete it first")

    def _refuse_taken(self, address: IPAddress) -> None:
        if (owner := self._owner.get(address)) is not None:
            raise AlreadyExists(f"address {address} is held by {_named(owner)}")


def _refuse_overlap(ranges: Sequence[IPNetwork]) -> None:
    for one, other in itertools.combinations(ranges, 2):
        if one.version == other.version and one.overlaps(other):
            raise InvalidObject(f"pod CIDR {one} overlaps pod CIDR {other}: remove one of them from network.podCIDRs")


def _refuse_repeats(items: Sequence[object], what: str) -> None:
    repeated = next((item for item in items if items.count(item) > 1), None)
    if repeated is not None:
        raise InvalidObject(f"{what} {repeated} is asked for twice: name it once")


def _refuse_shared(range_sets: Sequence[Sequence[IPNetwork]]) -> None:
    for one, other in itertools.combinations(range_sets, 2):
        for part, counterpart in itertools.product(one, other):
            if part.version == counterpart.version and part.overlaps(counterpart):
                raise InvalidObject(f"range {part} of one set overlaps range {counterpart} of another: one address is taken from each set")


def _named(owner: AttachmentKey) -> str:
    return f"interface {owner.ifname} of container {owner.container_id} in network {owner.network}"


def _listed(items: Iterable[object]) -> str:
    return ", ".join(str(item) for item in items)
