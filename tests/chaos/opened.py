"""A half-made pod is a closed one: whoever was given an interface must not speak under a name that is not its own.

Asked while the agent lies dead, and again after it came back: from every namespace that is no bystander's, a datagram goes
out with a bystander's source address, and the other bystander must not hear it. What is not there yet sends nothing.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from agent.errors import PodwrightError
from tests.prober import UDP, family_of, inside

PORT, HEARD_S = 9, 0.03
_TRANSPARENT = {socket.AF_INET: (socket.IPPROTO_IP, 19), socket.AF_INET6: (socket.IPPROTO_IPV6, 75)}
"""IP_TRANSPARENT: any address may be the source."""


class Listener:
    """`namespaces`: where pods may come to be; `bystanders`: place and addresses of the two whose names are borrowed."""

    def __init__(self, namespaces: Path, pretended: Iterable[str], ear: Path, addresses: Iterable[str], known: set[Path]) -> None:
        self._namespaces, self._known = namespaces, known
        self._pretended = {family_of(address): address for address in pretended}
        self._ears: dict[str, socket.socket] = {}
        with inside(ear):
            for address in addresses:
                heard = socket.socket(family_of(address), UDP)
                heard.bind((address, PORT))
                self._ears[address] = heard

    def close(self) -> None:
        for heard in self._ears.values():
            heard.close()

    def impostors(self, others: Iterable[Path] = ()) -> list[str]:
        """Namespaces that were heard under another's address. `others`: those that a runtime made."""
        for place in [*set(self._namespaces.glob("*/net")) - self._known, *others]:
            for address in self._ears:
                with suppress(OSError, PodwrightError):  # not finished, or already gone: it has no interface, no address, no route
                    self._pretend(place, address)
        found = set()
        while heard := select.select(list(self._ears.values()), [], [], HEARD_S)[0]:
            found |= {f"{each.recv(4096).decode()} spoke as {self._pretended[each.family]}" for each in heard}
        return sorted(found)

    def _pretend(self, place: Path, address: str) -> None:
        family = family_of(address)
        with ExitStack() as stack:
            with inside(place):
                sender = stack.enter_context(socket.socket(family, UDP))
            sender.setsockopt(*_TRANSPARENT[family], 1)
            sender.bind((self._pretended[family], 0))
            sender.sendto(str(place).encode(), (address, PORT))


@contextmanager
def listener(namespaces: Path, places: Mapping[str, Path], addresses: Mapping[str, tuple[str, ...]]) -> Iterator[Listener]:
    """`places` and `addresses` of the bystanders a, whose name is taken, and b, who listens."""
    made = Listener(namespaces, addresses["a"], places["b"], addresses["b"], set(places.values()))
    try:
        yield made
    finally:
        made.close()
