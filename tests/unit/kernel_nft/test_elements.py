"""Elements to bytes and back, as the kernel would give them back."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.kernel.netlink import Reply
from agent.kernel.nft import VERDICT, Element, Family, Set, Table, decode, encode, goto
from agent.kernel.nft import datatypes as dt
from agent.kernel.nft.datatypes import Range, Scalar
from agent.kernel.nft.wire import Msg

TABLE = Table(Family.INET, "t")
SENDERS = Set(TABLE, "senders", (dt.IFNAME, dt.ETHER, dt.IPV6))
PORTS = Set(TABLE, "ports", (dt.PROTOCOL, dt.SERVICE), (dt.IPV4, dt.SERVICE))
NETWORKS = Set(TABLE, "networks", (dt.IPV4,), is_interval=True)
SERVICES = Set(TABLE, "services", (dt.IPV6, dt.SERVICE), VERDICT, is_interval=True)


def round_trip(a_set: Set, *elements: Element) -> list[Element]:
    replies = [Reply(m.kind, 0, 0, m.body) for m in encode.element_messages(Msg.NEWSETELEM, a_set, elements)]
    return list(decode.elements(replies, a_set))


@pytest.mark.parametrize(
    "element",
    [
        SENDERS.element("pwv1", "0a:58:0a:49:00:02", IPv6Address("fd73::2")),
        PORTS.element("sctp", 65535, data=(IPv4Address("10.0.0.1"), 1)),
        PORTS.element(99, 0, data=(IPv4Address("10.0.0.1"), 1)),
        NETWORKS.element(IPv4Network("10.0.0.0/8")),
        NETWORKS.element(IPv4Address("10.0.0.1")),
        NETWORKS.element(IPv4Network("255.0.0.0/8")),
        NETWORKS.element(IPv4Network("0.0.0.0/0")),
        NETWORKS.element(Range(IPv4Address("10.0.0.1"), IPv4Address("10.0.0.9"))),
        SERVICES.element(IPv6Network("fd00::/16"), Range(80, 90), data=goto("x")),
        SERVICES.element(IPv6Address("fd00::1"), 443, data=goto("x")),
    ],
    ids=str,
)
def test_an_element_is_read_back_as_it_was_written(element: Element) -> None:
    assert round_trip(element.set, element) == [element]


def test_neighbouring_intervals_stay_apart() -> None:
    both = [NETWORKS.element(IPv4Network("10.0.0.0/16")), NETWORKS.element(IPv4Network("10.1.0.0/16"))]
    assert round_trip(NETWORKS, *both) == both


networks = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(lambda pair: IPv4Network(pair, strict=False))


@given(st.lists(networks, max_size=20))
def test_any_disjoint_networks_are_read_back(found: list[IPv4Network]) -> None:
    disjoint = [one for one in set(found) if not any(one != other and one.overlaps(other) for other in found)]
    wanted: list[Scalar] = [one.network_address if one.prefixlen == 32 else one for one in disjoint]
    got = round_trip(NETWORKS, *(NETWORKS.element(one) for one in wanted))
    assert {element.key[0] for element in got} == set(wanted)


def test_long_lists_are_cut_so_that_an_attribute_stays_below_64_kib() -> None:
    many = [SENDERS.element(f"pwv{n}", "0a:58:0a:49:00:02", IPv6Address(n)) for n in range(5000)]
    messages = list(encode.element_messages(Msg.NEWSETELEM, SENDERS, many))
    assert len(messages) > 1
    assert max(len(message.body) for message in messages) < 1 << 16
    assert round_trip(SENDERS, *many) == many
