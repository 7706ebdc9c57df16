"""Kernels before 6.3 refuse to delete what is absent: a batch loses what it would destroy in vain, and nothing else."""

from __future__ import annotations

from ipaddress import IPv4Address

from agent.kernel import nft
from agent.kernel.nft import Batch, Chain, Element, Family, Set, Table
from agent.kernel.nft import datatypes as dt
from agent.kernel.nft.decode import TableState
from agent.kernel.nft.present import Present

TABLE = Table(Family.INET, "t")
PODS = Set(TABLE, "pods", (dt.IPV4,))
PORTS = Set(TABLE, "ports", (dt.SERVICE,), data=(dt.IPV4,))
ONE, TWO = PODS.element(IPv4Address("10.0.0.1")), PODS.element(IPv4Address("10.0.0.2"))
PORT = PORTS.element(80, data=(IPv4Address("10.0.0.1"),))


class Kernel:
    """Holds the table, with one chain, and element ONE. Counts how often its elements are listed."""

    def __init__(self) -> None:
        self.listings = 0

    def list_tables(self) -> tuple[TableState, ...]:
        return (TableState(TABLE, 0, 0),)

    def list_chains(self, table: Table) -> frozenset[str]:
        return frozenset({"input"}) if table == TABLE else frozenset()

    def list_sets(self, table: Table) -> frozenset[str]:
        return frozenset({"pods", "ports"}) if table == TABLE else frozenset()

    def list_elements(self, a_set: Set) -> frozenset[Element]:
        self.listings += 1
        return frozenset({ONE} if a_set == PODS else {})


def kept(batch: Batch) -> list[str]:
    return str(Present(Kernel()).without_absent(batch)).splitlines()


def test_what_is_absent_is_not_destroyed() -> None:
    assert kept(nft.destroy(ONE, TWO, Chain(TABLE, "none"), Table(Family.BRIDGE, "none"))) == [f"destroy element {ONE}"]


def test_nothing_is_destroyed_twice() -> None:
    assert kept(nft.destroy(ONE) + nft.destroy(ONE)) == [f"destroy element {ONE}"]


def test_what_the_batch_has_added_is_there() -> None:
    assert kept(nft.put(TWO) + nft.destroy(TWO) + nft.destroy(TWO)) == [f"add element {TWO}", f"destroy element {TWO}"]


def test_a_map_element_put_twice_is_replaced_the_second_time() -> None:
    once = [f"add element {PORT}"]
    assert kept(nft.put(PORT) + nft.put(PORT)) == [*once, f"destroy element {PORT}", *once]


def test_a_table_takes_along_what_was_in_it() -> None:
    assert kept(nft.destroy(TABLE) + nft.destroy(ONE, Chain(TABLE, "input"))) == ["destroy table inet t"]
    assert kept(nft.put(TWO) + nft.destroy(TABLE) + nft.destroy(TWO)) == [f"add element {TWO}", "destroy table inet t"]


def test_a_set_is_listed_once_a_batch_and_not_for_what_is_only_added() -> None:
    kernel = Kernel()
    Present(kernel).without_absent(nft.put(ONE, TWO))
    assert kernel.listings == 0
    Present(kernel).without_absent(nft.destroy(ONE, TWO))
    assert kernel.listings == 1
