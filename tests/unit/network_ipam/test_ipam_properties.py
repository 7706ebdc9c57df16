"""The allocator against a plain model: whatever happens in whatever order, nothing is given twice and nothing leaks."""

from __future__ import annotations

import itertools
from ipaddress import ip_network

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.errors import Exhausted, PodwrightError
from agent.network import address_range
from agent.network.ipam import Ipam
from agent.objects.attachment import AttachmentKey
from agent.objects.meta import IPAddress, IPNetwork

RANGES: list[IPNetwork] = [ip_network("10.0.0.0/29"), ip_network("10.0.8.0/30"), ip_network("fd00::/125")]
USABLE: dict[int, list[IPAddress]] = {
    4: [a for r in RANGES if r.version == 4 for a in list(r)[2:-1]],
    6: [a for r in RANGES if r.version == 6 for a in list(r)[2:]],
}


def key(name: int) -> AttachmentKey:
    return AttachmentKey("podwright", f"c{name}", "eth0")


class Allocator(RuleBasedStateMachine):
    """The model: who holds what, what is in quarantine, and the queue of released addresses, oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.ipam = Ipam(RANGES)
        self.held: dict[int, tuple[IPAddress, ...]] = {}
        self.quarantine: list[IPAddress] = []
        self.queue: list[IPAddress] = []
        self.names = itertools.count()

    def fresh(self, family: int) -> list[IPAddress]:
        used = {*itertools.chain(*self.held.values()), *self.quarantine, *self.queue}
        return [a for a in USABLE[family] if a not in used]

    def expected(self, family: int) -> IPAddress | None:
        return next(iter(self.fresh(family) or [a for a in self.queue if a.version == family]), None)

    @rule(families=st.sampled_from([(4,), (6,), (4, 6), (6, 4)]))
    def allocate(self, families: tuple[int, ...]) -> None:
        expected = tuple(self.expected(family) for family in families)
        name = next(self.names)
        if None in expected:
            with pytest.raises(Exhausted):
                self.ipam.allocate(key(name), families)
            return
        given = self.ipam.allocate(key(name), families)
        assert given == expected
        self.hold(name, given)

    @rule(address=st.sampled_from(USABLE[4] + USABLE[6]))
    def claim(self, address: IPAddress) -> None:
        name = next(self.names)
        if address in [*itertools.chain(*self.held.values()), *self.quarantine]:
            with pytest.raises(PodwrightError):
                self.ipam.claim(key(name), [address])
            return
        self.hold(name, self.ipam.claim(key(name), [address]))

    def hold(self, name: int, given: tuple[IPAddress, ...]) -> None:
        self.held[name] = given
        self.queue = [a for a in self.queue if a not in given]

    @precondition(lambda self: self.held)
    @rule(data=st.data(), quarantine=st.booleans())
    def release(self, data: st.DataObject, quarantine: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.held)))
        given = self.held.pop(name)
        assert self.ipam.release(key(name), quarantine=quarantine) == given
        (self.quarantine if quarantine else self.queue).extend(given)

    @precondition(lambda self: self.quarantine)
    @rule(data=st.data())
    def end_quarantine(self, data: st.DataObject) -> None:
        address = data.draw(st.sampled_from(self.quarantine))
        self.ipam.end_quarantine([address])
        self.quarantine.remove(address)
        self.queue.append(address)

    @rule()
    def restart(self) -> None:
        """A fresh process knows the leases, not the queue: it resumes behind the highest address in use, so
        which address comes next is no longer the model's order. Only the leases must be the same."""
        again = Ipam(RANGES)
        for name, given in self.held.items():
            assert again.restore(key(name), given) == ()
            assert again.addresses_of(key(name)) == given
        assert sum(u.used for u in again.usage()) == sum(map(len, self.held.values()))

    @invariant()
    def every_address_is_in_one_place(self) -> None:
        given = list(itertools.chain(*self.held.values()))
        assert len(given) == len(set(given))
        assert sum(u.used for u in self.ipam.usage()) == len(given)
        assert sum(u.quarantined for u in self.ipam.usage()) == len(self.quarantine)
        assert sum(u.free for u in self.ipam.usage()) == len(USABLE[4]) + len(USABLE[6]) - len(given) - len(self.quarantine)


TestAllocator = Allocator.TestCase
TestAllocator.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


def test_a_hundred_thousand_pods_take_a_constant_number_of_steps_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each address is looked at by the cursor at most twice: when it is offered, and when it is passed."""
    looked = itertools.count()
    was_used = address_range.AddressRange._was_used

    def counting(self: address_range.AddressRange, number: int) -> bool:
        next(looked)
        return was_used(self, number)

    monkeypatch.setattr(address_range.AddressRange, "_was_used", counting)
    ipam = Ipam([ip_network("10.0.0.0/8")])
    given = {ipam.allocate(key(n))[0] for n in range(100_000)}
    assert len(given) == 100_000
    assert next(looked) <= 200_000


def test_a_slash_64_does_not_remember_every_address_it_ever_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address_range, "QUEUE_LIMIT", 3)
    ipam = Ipam([ip_network("fd00::/64")])
    given: list[IPAddress] = []
    for n in range(12):
        given += ipam.allocate(key(n))
        ipam.release(key(n))
    assert [int(a) & 0xFF for a in given] == [2, 3, 4, 5, 2, 3, 4, 5, 2, 3, 4, 5]
