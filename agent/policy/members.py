"""Which endpoints a selector picks, kept up to date: selectors against identities, and identities' endpoints.

A selector is asked once for each identity (distinct labels), not for each pod; and only for identities that have what
it demands (a label with a value), found by an inverted index. A selector that demands nothing is asked about all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from agent.objects.calico_selector import Selector, restrictions
from agent.policy.rules import Endpoint, Identity


class _Demand(NamedTuple):
    """A label that a match has, with one of these values; None: with any."""

    key: str
    values: frozenset[str] | None


class Members:
    def __init__(self) -> None:
        self._endpoints: dict[Identity, dict[str, Endpoint]] = {}
        self._by_label: defaultdict[tuple[str, str], set[Identity]] = defaultdict(set)
        self._by_key: defaultdict[str, set[Identity]] = defaultdict(set)
        self._picked: dict[Selector, set[Identity]] = {}
        self._uses: dict[Selector, int] = {}
        self._selectors_of: dict[Identity, set[Selector]] = {}
        self._demanding: defaultdict[tuple[str, str | None], set[Selector]] = defaultdict(set)
        self._undemanding: set[Selector] = set()

    def add(self, endpoint: Endpoint) -> None:
        identity = endpoint.identity
        if identity not in self._endpoints:
            self._enter(identity)
        self._endpoints[identity][endpoint.name] = endpoint

    def remove(self, endpoint: Endpoint) -> None:
        """Absence is success."""
        there = self._endpoints.get(endpoint.identity)
        if there is None or there.pop(endpoint.name, None) is None or there:
            return
        self._leave(endpoint.identity)

    def use(self, selector: Selector) -> None:
        """Follow it from now on; as often as it is used."""
        self._uses[selector] = self._uses.get(selector, 0) + 1
        if self._uses[selector] > 1:
            return
        picked = self._picked[selector] = {each for each in self._candidates(selector) if selector.matches(each.labels)}
        for identity in picked:
            self._selectors_of[identity].add(selector)
        for place in _places(selector):
            self._demanding[place].add(selector)
        if _demand(selector) is None:
            self._undemanding.add(selector)

    def drop(self, selector: Selector) -> None:
        self._uses[selector] -= 1
        if self._uses[selector]:
            return
        del self._uses[selector]
        for identity in self._picked.pop(selector):
            self._selectors_of[identity].discard(selector)
        for place in _places(selector):
            self._demanding[place].discard(selector)
            if not self._demanding[place]:
                del self._demanding[place]
        self._undemanding.discard(selector)

    def selectors_of(self, identity: Identity) -> frozenset[Selector]:
        """Those in use that pick it. The identity must be there."""
        return frozenset(self._selectors_of.get(identity, ()))

    def picked(self, selector: Selector) -> Iterator[Endpoint]:
        """The selector must be in use."""
        for identity in self._picked[selector]:
            yield from self._endpoints[identity].values()

    def select(self, selector: Selector) -> Iterator[Endpoint]:
        """Of a selector that need not be in use."""
        for identity in self._candidates(selector):
            if selector.matches(identity.labels):
                yield from self._endpoints[identity].values()

    def _candidates(self, selector: Selector) -> Iterable[Identity]:
        demand = _demand(selector)
        if demand is None:
            return list(self._endpoints)
        if demand.values is None:
            return list(self._by_key.get(demand.key, ()))
        return {identity for value in demand.values for identity in self._by_label.get((demand.key, value), ())}

    def _enter(self, identity: Identity) -> None:
        self._endpoints[identity] = {}
        asked = set(self._undemanding)
        for key, value in identity.labels.items():
            self._by_label[key, value].add(identity)
            self._by_key[key].add(identity)
            asked |= self._demanding.get((key, value), set()) | self._demanding.get((key, None), set())
        found = {selector for selector in asked if selector.matches(identity.labels)}
        self._selectors_of[identity] = found
        for selector in found:
            self._picked[selector].add(identity)

    def _leave(self, identity: Identity) -> None:
        del self._endpoints[identity]
        for key, value in identity.labels.items():
            _discard(self._by_label, (key, value), identity)
            _discard(self._by_key, key, identity)
        for selector in self._selectors_of.pop(identity):
            self._picked[selector].discard(identity)


def _discard(index: defaultdict, key: object, identity: Identity) -> None:  # type: ignore[type-arg]
    index[key].discard(identity)
    if not index[key]:
        del index[key]


def _demand(selector: Selector) -> _Demand | None:
    """The narrowest: few values before many, any value last; a namespace's name is shared by many."""
    found = [_Demand(each.key, each.values) for each in restrictions(selector)]
    return min(found, key=_breadth, default=None)


def _breadth(demand: _Demand) -> tuple[int, bool]:
    return (1 << 16 if demand.values is None else len(demand.values)), demand.key.startswith(("projectcalico.org/", "pcns."))


def _places(selector: Selector) -> Iterator[tuple[str, str | None]]:
    demand = _demand(selector)
    if demand is not None:
        yield from ((demand.key, value) for value in (demand.values or (None,)))
