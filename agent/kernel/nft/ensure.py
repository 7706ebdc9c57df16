"""From whatever the kernel holds to the ruleset that is wanted, in one transaction.

A table whose comment is the wanted digest is kept (and adopted, if its owner died): only its elements are compared and,
in the netdev family, by name, its chains (one per device). Any other table is replaced with everything in it, and so
is one that the caller distrusts: where others may write, rules can have changed under an old comment. While the owner
is dead everybody may, so rules are at least counted. Nothing is flushed: a packet meets the old rules or the new ones.
Adoption is a transaction of its own: the kernel refuses a base chain together with a change of its table's flags.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace as changed

from agent.errors import Conflict, Unavailable
from agent.kernel.nft.batch import Batch, destroy, put, replace
from agent.kernel.nft.datatypes import Scalar
from agent.kernel.nft.decode import TableState
from agent.kernel.nft.objects import Chain, Element, Ruleset, Set, Table
from agent.kernel.nft.session import Nft
from agent.kernel.nft.wire import Family

_TRIES = 5


def ensure_ruleset(  # noqa: PLR0913
    nft: Nft,
    wanted: Ruleset,
    elements: Iterable[Element] = (),
    chains: Sequence[Chain] = (),
    *,
    sets: Sequence[Set] = (),
    distrusted: Collection[Table] = (),
) -> Batch:
    """`elements`, `chains` and `sets` come and go, so they are not in the digest; a chain of `wanted` gives way to one of
    its name. Together they are all there should be. Returns what was committed."""
    stamped, coming = wanted.stamped(), {(chain.table, chain.name) for chain in chains}
    whole = changed(
        stamped,
        sets=(*stamped.sets, *sets),
        chains=(*(chain for chain in stamped.chains if (chain.table, chain.name) not in coming), *chains),
        elements=(*stamped.elements, *elements),
    )
    adopted = _adopt(nft, [table for table in whole.tables if table not in distrusted])
    for _ in range(_TRIES - 1):
        generation = nft.generation()
        batch = plan(nft, whole, distrusted)
        try:
            nft.commit(batch, generation=generation)
        except Conflict:
            continue
        return adopted + batch
    batch = plan(nft, whole, distrusted)
    nft.commit(batch)
    return adopted + batch


def remove_ruleset(nft: Nft, ruleset: Ruleset) -> None:
    there = {state.table for state in nft.list_tables()}
    nft.commit(destroy(*(table for table in ruleset.tables if table in there)))


def plan(nft: Nft, wanted: Ruleset, distrusted: Collection[Table] = ()) -> Batch:
    states = {state.table: state for state in nft.list_tables()}
    batch = Batch()
    for table in wanted.tables:
        state = states.get(table)
        part = _part(wanted, table)
        is_known = state is not None and _is_usable(nft, state) and state.comment == table.comment
        if is_known and table not in distrusted and _has_its_rules(nft, part):
            batch += _device_changes(nft, part) + _element_changes(nft, part)
        else:
            batch += replace(part)
    return batch


def _part(wanted: Ruleset, table: Table) -> Ruleset:
    return Ruleset(
        tables=(table,),
        sets=tuple(a_set for a_set in wanted.sets if a_set.table == table),
        chains=tuple(chain for chain in wanted.chains if chain.table == table),
        elements=tuple(sorted((e for e in wanted.elements if e.set.table == table), key=lambda e: e.set.name)),
    )


def _is_usable(nft: Nft, state: TableState) -> bool:
    """Whether the table can be written as it stands, and owned if tables are to be owned."""
    if state.owner and not nft.is_ours(state):
        raise Unavailable(
            f"cannot change table {state.table}: another process owns it (netlink port {state.owner})", hint="stop the other agent"
        )
    return state.is_persistent or not nft.owns_tables


def _adopt(nft: Nft, tables: Iterable[Table]) -> Batch:
    """Those that are as wanted and whose owner died."""
    comments = {table: table.comment for table in tables}
    known = [state for state in nft.list_tables() if state.comment and comments.get(state.table) == state.comment]
    orphans = [state.table for state in known if nft.owns_tables and _is_usable(nft, state) and not nft.is_ours(state)]
    batch = put(*orphans)
    nft.commit(batch)
    return batch


def _has_its_rules(nft: Nft, part: Ruleset) -> bool:
    (table,) = part.tables
    there, counts = nft.list_chains(table), nft.count_rules(table)
    has_chains = table.family is Family.NETDEV or there == {chain.name for chain in part.chains}
    return has_chains and all(counts[chain.name] == len(chain.rules) for chain in part.chains if chain.name in there)


def _device_changes(nft: Nft, part: Ruleset) -> Batch:
    (table,) = part.tables
    if table.family is not Family.NETDEV:
        return Batch()
    there = nft.list_chains(table)
    gone = sorted(there - {chain.name for chain in part.chains})
    return put(*(chain for chain in part.chains if chain.name not in there)) + destroy(*(Chain(table, name) for name in gone))


def _element_changes(nft: Nft, part: Ruleset) -> Batch:
    """Additions of all sets before removals of any."""
    wanted: dict[Set, dict[tuple[Scalar, ...], Element]] = {a_set: {} for a_set in part.sets}
    for element in part.elements:
        wanted[element.set][element.key] = element
    added: list[Element] = []
    removed: list[Element] = []
    for a_set, elements in wanted.items():
        there = {element.key: element for element in nft.list_elements(a_set)}
        added += [element for key, element in elements.items() if key not in there or there[key].data != element.data]
        removed += [element for key, element in there.items() if key not in elements]
    return put(*added) + destroy(*removed)
