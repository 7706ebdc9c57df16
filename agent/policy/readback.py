"""The kernel's maps against the program: what was committed is read back, when things are quiet, and compared.

Tables that are owned cannot be changed by others, but a proof costs little: only the maps that a change touched are
listed (1 ms for 500 elements). Whole tables are compared by the network's guard, when another program was seen at them.
Pure but for `listed`, which asks the kernel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator

from agent.kernel.nft import Element, Set
from agent.policy.compile import Program
from agent.policy.engine import Delta
from agent.policy.render import Renderer


def touched(renderer: Renderer, delta: Delta) -> set[Set]:
    """The maps in which a change put or removed elements, and that are still there."""
    subjects = {renderer.subjects(direction, address.version) for (direction, address), _, _ in delta.subjects}
    rulings = [*delta.born, *(ruling for ruling, *_ in delta.peers)]
    return subjects | {each for ruling in rulings for each in renderer.maps_of(ruling)}


def differences(renderer: Renderer, program: Program, sets: Collection[Set], listed: Callable[[Set], Iterable[Element]]) -> Iterator[str]:
    """In nft's words: what is missing, and what nobody wants."""
    wanted: defaultdict[Set, set[Element]] = defaultdict(set)
    for element in renderer.elements(program, sets):
        wanted[element.set].add(element)
    for a_set in sorted(sets, key=str):
        found = set(listed(a_set))
        yield from (f"missing {element}" for element in sorted(map(str, wanted[a_set] - found)))
        yield from (f"unexpected {element}" for element in sorted(map(str, found - wanted[a_set])))
