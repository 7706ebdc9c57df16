"""The program kept up to date by steps: endpoints and policies come and go, and only what depends on them is compiled.

Ends in the same program as compile_ from nothing, whatever the order of steps (the tests hold it to that). What a step
changed is kept until `take`, which gives it as one Delta: many steps between two takes cost the kernel one change.
Two endpoints may claim one address (a pod that is gone for its node, but not yet for us): a local one has it, else the
first by name; the other is without it until then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from agent.objects.calico_selector import Selector
from agent.objects.meta import IPAddress
from agent.policy import compile as compiling
from agent.policy.compile import Level, Program, Ruling, Stack, Subject
from agent.policy.members import Members
from agent.policy.rules import Direction, Endpoint, Identity, Policy, PolicySet
from agent.policy.traffic import Traffic

PeerKey = tuple[str, IPAddress]


@dataclass(frozen=True)
class Delta:
    """From one program to the next. A subject's None is "not judged", a peer's is "as a stranger"."""

    born: tuple[Ruling, ...] = ()
    dead: tuple[Ruling, ...] = ()
    subjects: tuple[tuple[Subject, Ruling | None, Ruling | None], ...] = ()
    peers: tuple[tuple[Ruling, IPAddress, Traffic | None, Traffic | None], ...] = ()
    was_active: bool = False
    is_active: bool = False

    def __bool__(self) -> bool:
        return bool(self.born or self.dead or self.subjects or self.peers)

    def __str__(self) -> str:
        return f"{len(self.subjects)} subjects, {len(self.peers)} peers, {len(self.born)} new rulings, {len(self.dead)} old ones"


_Place = tuple[int, Policy]
"""A policy and the number of its tier."""


class Engine:
    def __init__(self) -> None:
        self.program = Program()
        self.policies = PolicySet()
        self._claimed: dict[str, Endpoint] = {}
        self._claims: defaultdict[IPAddress, set[str]] = defaultdict(set)
        self.endpoints: dict[str, Endpoint] = {}
        """With the addresses that they have, of those that they claim."""
        self._everybody, self._locals = Members(), Members()
        self._standing: dict[str, _Place] = {}
        self._by_subject: defaultdict[Selector, dict[str, _Place]] = defaultdict(dict)
        self._levels: dict[tuple[Identity, Direction], tuple[Level, ...]] = {}
        self._users: defaultdict[str, set[Subject]] = defaultdict(set)
        self._stacks_by_selector: defaultdict[Selector, set[str]] = defaultdict(set)
        self._stacks_by_port: defaultdict[str, set[str]] = defaultdict(set)
        self._holders: defaultdict[str, set[str]] = defaultdict(set)
        self._forget_changes()

    def _forget_changes(self) -> None:
        self._old_subjects: dict[Subject, Ruling | None] = {}
        self._old_peers: dict[PeerKey, Traffic | None] = {}
        self._born: set[str] = set()
        self._idle: set[str] = set()
        self._was_active = bool(self.program.subjects)

    # -- endpoints --------------------------------------------------------------------------------------------

    def set_endpoint(self, endpoint: Endpoint) -> None:
        known = self._claimed.get(endpoint.name)
        if endpoint == known:
            return
        self._claimed[endpoint.name] = endpoint
        self._settle(endpoint.name, () if known is None else known.addresses, endpoint.addresses)

    def remove_endpoint(self, name: str) -> None:
        """Absence is success."""
        known = self._claimed.pop(name, None)
        if known is not None:
            self._settle(name, known.addresses, ())

    def _settle(self, name: str, before: tuple[IPAddress, ...], after: tuple[IPAddress, ...]) -> None:
        """Who has which address now; who loses one goes first."""
        concerned = {name}
        for address in before:
            self._claims[address].discard(name)
        for address in after:
            self._claims[address].add(name)
        for address in {*before, *after}:
            concerned |= self._claims[address]
            if not self._claims[address]:
                del self._claims[address]
        changes = [(self.endpoints.get(each), self._effective(each)) for each in sorted(concerned)]
        for old, new in sorted(changes, key=lambda change: _gains(*change)):
            if old != new:
                self._replace(old, new)

    def _effective(self, name: str) -> Endpoint | None:
        claimed = self._claimed.get(name)
        if claimed is None:
            return None
        held = tuple(address for address in claimed.addresses if self._holder(address) == name)
        return claimed if held == claimed.addresses else replace(claimed, addresses=held)

    def _holder(self, address: IPAddress) -> str:
        return min(self._claims[address], key=lambda name: (not self._claimed[name].is_local, name))

    def _replace(self, old: Endpoint | None, new: Endpoint | None) -> None:
        affected = set(self._concerning(old))
        if old is not None:
            self._leave(old)
        if new is not None:
            self._enter(new)
        affected |= set(self._concerning(new))
        addresses = {address for each in (old, new) if each is not None for address in each.addresses}
        for name in affected:
            self._list_again(self.program.rulings[name], new, addresses)
        if (old is not None and old.is_local) or (new is not None and new.is_local):
            self._judge_again(old, new)

    def _leave(self, endpoint: Endpoint) -> None:
        self._everybody.remove(endpoint)
        self._locals.remove(endpoint)
        del self.endpoints[endpoint.name]
        for port in endpoint.ports:
            self._holders[port.name].discard(endpoint.name)

    def _enter(self, endpoint: Endpoint) -> None:
        self._everybody.add(endpoint)
        if endpoint.is_local:
            self._locals.add(endpoint)
        self.endpoints[endpoint.name] = endpoint
        for port in endpoint.ports:
            self._holders[port.name].add(endpoint.name)

    def _concerning(self, endpoint: Endpoint | None) -> Iterator[str]:
        """The rulings that may know it."""
        if endpoint is None:
            return
        for selector in self._everybody.selectors_of(endpoint.identity):
            yield from self._stacks_by_selector[selector]
        for port in endpoint.ports:
            yield from self._stacks_by_port.get(port.name, ())

    def _list_again(self, ruling: Ruling, peer: Endpoint | None, addresses: Iterable[IPAddress]) -> None:
        found = {} if peer is None else compiling.listed(ruling, peer)
        for address in addresses:
            if address.version != ruling.stack.family:
                continue
            old, new = ruling.peers.get(address), found.get(address)
            if old == new:
                continue
            self._old_peers.setdefault((ruling.stack.name, address), old)
            if new is None:
                del ruling.peers[address]
            else:
                ruling.peers[address] = new

    # -- policies ---------------------------------------------------------------------------------------------

    def set_policies(self, policies: PolicySet) -> None:
        """Only those that differ are looked at: a policy that is the same object costs a comparison."""
        everyone = _shape(self.policies) != _shape(policies)
        before, after = (
            self._standing,
            {policy.name: (number, policy) for number, tier in enumerate(policies.tiers) for policy in tier.policies},
        )
        self.policies, self._standing = policies, after
        changed = [name for name, place in after.items() if before.get(name) != place]
        changed += [name for name in before if name not in after]
        concerned: dict[str, Endpoint] = {}
        for name in changed:
            self._change_policy(name, before.get(name), after.get(name), concerned)
        self._levels.clear()
        for endpoint in list(self._locals_all()) if everyone else list(concerned.values()):
            self._judge_again(endpoint, endpoint)

    def _change_policy(self, name: str, old: _Place | None, new: _Place | None, concerned: dict[str, Endpoint]) -> None:
        """Adds those that it selected, and selects now, to `concerned`."""
        if new is not None:
            self._locals.use(new[1].applies_to)
        for place in (old, new):
            if place is not None:
                concerned.update((each.name, each) for each in self._locals.picked(place[1].applies_to))
        if old is not None:
            selecting = self._by_subject[old[1].applies_to]
            del selecting[name]
            if not selecting:
                del self._by_subject[old[1].applies_to]
            self._locals.drop(old[1].applies_to)
        if new is not None:
            self._by_subject[new[1].applies_to][name] = new

    def _locals_all(self) -> Iterator[Endpoint]:
        return (endpoint for endpoint in self.endpoints.values() if endpoint.is_local)

    # -- rulings ----------------------------------------------------------------------------------------------

    def _judge_again(self, old: Endpoint | None, new: Endpoint | None) -> None:
        wanted = dict(self._stacks(new)) if new is not None and new.is_local else {}
        held = {(direction, address) for each in (old, new) if each is not None for direction in Direction for address in each.addresses}
        for subject in sorted(held | wanted.keys(), key=_subject_order):
            self._point(subject, wanted.get(subject))

    def _stacks(self, endpoint: Endpoint) -> Iterator[tuple[Subject, Stack]]:
        for direction in Direction:
            key = endpoint.identity, direction
            if key not in self._levels:
                self._levels[key] = compiling.levels(self.policies, self._chosen(endpoint.identity), direction)
            yield from compiling.stacks_of(self._levels[key], endpoint, direction, self.policies.end)

    def _chosen(self, identity: Identity) -> Callable[[int], Iterator[Policy]]:
        """The policies of a tier that select this identity, found by the index."""
        found = [place for selector in self._locals.selectors_of(identity) for place in self._by_subject[selector].values()]
        found.sort(key=lambda place: (place[0], place[1].order, place[1].name))
        return lambda tier: (policy for number, policy in found if number == tier)

    def _point(self, subject: Subject, stack: Stack | None) -> None:
        subjects, rulings = self.program.subjects, self.program.rulings
        old = subjects.get(subject)
        if old == (stack.name if stack is not None else None):
            return
        self._old_subjects.setdefault(subject, None if old is None else rulings[old])
        if stack is not None:
            if stack.name not in rulings:
                self._begin(stack)
            subjects[subject] = stack.name
            self._users[stack.name].add(subject)
            self._idle.discard(stack.name)
        else:
            del subjects[subject]
        if old is not None:
            self._users[old].discard(subject)
            if not self._users[old]:
                self._idle.add(old)

    def _begin(self, stack: Stack) -> None:
        ruling = self.program.rulings[stack.name] = compiling.ruling_of(stack)
        self._born.add(stack.name)
        candidates: dict[str, Endpoint] = {}
        for selector in compiling.selectors(stack):
            self._everybody.use(selector)
            self._stacks_by_selector[selector].add(stack.name)
            candidates.update((each.name, each) for each in self._everybody.picked(selector))
        for name in compiling.port_names(stack):
            self._stacks_by_port[name].add(stack.name)
            candidates.update((each, self.endpoints[each]) for each in self._holders.get(name, ()))
        for endpoint in candidates.values():
            ruling.peers.update(compiling.listed(ruling, endpoint))

    def _end(self, name: str) -> Ruling:
        ruling = self.program.rulings.pop(name)
        self._users.pop(name, None)
        for selector in compiling.selectors(ruling.stack):
            self._stacks_by_selector[selector].discard(name)
            if not self._stacks_by_selector[selector]:
                del self._stacks_by_selector[selector]
            self._everybody.drop(selector)
        for port in compiling.port_names(ruling.stack):
            self._stacks_by_port[port].discard(name)
        return ruling

    # -- what changed -----------------------------------------------------------------------------------------

    def take(self) -> Delta:
        """What changed since the last time."""
        program = self.program
        stillborn = self._born & self._idle
        ended = {name: self._end(name) for name in sorted(self._idle)}
        dead = tuple(ruling for name, ruling in ended.items() if name not in stillborn)
        settled = self._born | ended.keys()
        rulings = {**program.rulings, **ended}
        subjects = []
        for subject, old in self._old_subjects.items():
            name = program.subjects.get(subject)
            new = None if name is None else rulings[name]
            if old is not new:
                subjects.append((subject, old, new))
        peers = []
        for (name, address), old_traffic in self._old_peers.items():
            if name not in settled and rulings[name].peers.get(address) != old_traffic:
                peers.append((rulings[name], address, old_traffic, rulings[name].peers.get(address)))
        born = tuple(program.rulings[name] for name in sorted(self._born - stillborn))
        delta = Delta(born, dead, tuple(subjects), tuple(peers), self._was_active, bool(program.subjects))
        self._forget_changes()
        return delta


def _gains(old: Endpoint | None, new: Endpoint | None) -> bool:
    before = set() if old is None else {*old.addresses}
    return new is not None and bool({*new.addresses} - before)


def _shape(policies: PolicySet) -> object:
    """What concerns everyone."""
    return policies.end, tuple((tier.name, tier.end) for tier in policies.tiers)


def _subject_order(subject: Subject) -> tuple[str, int, int]:
    direction, address = subject
    return direction.value, address.version, int(address)
