"""Examples of the allocator. The tables follow the subjects of the reference host-local allocator's tests.

Theirs goes round-robin after the last address given; ours gives fresh addresses first and then the one released
longest ago. "used, last" columns therefore became sequences: what is taken, what was released, what comes next.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import pytest

from agent.errors import AlreadyExists, Exhausted, InvalidObject, Unavailable
from agent.network.ipam import Ipam
from agent.objects.attachment import AttachmentKey
from agent.objects.meta import IPAddress


def owner(name: str, ifname: str = "eth0") -> AttachmentKey:
    return AttachmentKey("podwright", name, ifname)


def ipam(*ranges: str, reserved: Sequence[str] = ()) -> Ipam:
    return Ipam([ip_network(r) for r in ranges], [ip_address(a) for a in reserved])


def addresses(*texts: str) -> tuple[IPAddress, ...]:
    return tuple(ip_address(text) for text in texts)


@pytest.mark.parametrize(
    ("ranges", "restored", "released", "expected"),
    [
        (["10.0.0.0/29"], [], [], "10.0.0.2"),
        (["2001:db8:1::/64"], [], [], "2001:db8:1::2"),
        (["10.0.0.0/30"], [], [], "10.0.0.2"),
        (["10.0.0.0/29"], ["10.0.0.2"], [], "10.0.0.3"),
        (["10.0.0.0/29"], ["10.0.0.5"], [], "10.0.0.6"),
        (["10.0.0.0/29"], ["10.0.0.4", "10.0.0.5"], [], "10.0.0.6"),
        (["10.0.0.0/29"], ["10.0.0.6", "10.0.0.5"], [], "10.0.0.2"),
        (["10.0.0.0/29"], ["10.0.0.3"], ["10.0.0.3"], "10.0.0.4"),
        (["10.0.0.0/29"], ["10.0.0.128"], [], "10.0.0.2"),
        (["10.0.0.0/29"], ["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"], [], "10.0.0.3"),
        (["10.0.0.0/30", "10.0.1.0/30"], [], [], "10.0.0.2"),
        (["10.0.0.0/30", "10.0.1.0/30"], ["10.0.0.2"], [], "10.0.1.2"),
        (["10.0.0.0/30", "10.0.1.0/30", "10.0.2.0/30"], ["10.0.2.2"], [], "10.0.0.2"),
        (["10.0.0.0/30", "10.0.1.0/30"], ["10.0.0.2", "10.0.1.2"], ["10.0.1.2", "10.0.0.2"], "10.0.1.2"),
        (["10.0.0.0/30", "10.0.1.0/30"], ["10.0.0.2", "10.0.1.2"], ["10.0.0.2", "10.0.1.2"], "10.0.0.2"),
    ],
)
def test_the_next_address_is_the_first_fresh_one_or_the_one_released_longest_ago(
    ranges: list[str], restored: list[str], released: list[str], expected: str
) -> None:
    node = ipam(*ranges)
    for text in restored:
        node.restore(owner(text), addresses(text))
    for text in released:
        node.release(owner(text))
    assert node.allocate(owner("new")) == addresses(expected)


@pytest.mark.parametrize(
    ("ranges", "count", "message"),
    [
        (["10.0.0.0/30"], 1, "no free address in 10.0.0.0/30 (1 used)"),
        (["10.0.0.0/29"], 5, "no free address in 10.0.0.0/29 (5 used)"),
        (["10.73.0.0/20"], 4093, "no free address in 10.73.0.0/20 (4093 used)"),
        (["fd00::/126"], 2, "no free address in fd00::/126 (2 used)"),
        (["10.0.0.0/30", "10.0.1.0/30"], 2, "no free address in 10.0.0.0/30 (1 used), 10.0.1.0/30 (1 used)"),
    ],
)
def test_a_full_range_says_how_full(ranges: list[str], count: int, message: str) -> None:
    node = ipam(*ranges)
    given = {node.allocate(owner(str(n))) for n in range(count)}
    assert len(given) == count
    with pytest.raises(Exhausted) as raised:
        node.allocate(owner("one too many"))
    assert raised.value.message == message


@pytest.mark.parametrize("cidr", ["10.0.0.0/31", "10.0.0.0/32", "fd00::/127", "fd00::/128"])
def test_a_range_without_room_for_a_pod_is_refused(cidr: str) -> None:
    with pytest.raises(InvalidObject, match=r"too small to give addresses: use /(30|126) or larger"):
        ipam(cidr)


@pytest.mark.parametrize(
    ("one", "other", "is_refused"),
    [
        ("10.0.0.0/20", "10.0.0.0/20", True),
        ("10.0.0.0/20", "10.0.15.0/24", True),
        ("10.0.0.0/24", "10.0.0.0/8", True),
        ("fd00::/64", "fd00::8000:0:0:0/65", True),
        ("10.0.0.0/24", "10.0.1.0/24", False),
        ("10.0.0.0/8", "fd00::/64", False),
    ],
)
def test_overlapping_ranges_are_refused(one: str, other: str, is_refused: bool) -> None:
    if not is_refused:
        assert len(ipam(one, other).usage()) == 2
        return
    with pytest.raises(InvalidObject, match=r"overlaps pod CIDR .*: remove one"):
        ipam(one, other)


def test_both_families_in_one_request() -> None:
    node = ipam("10.73.0.0/20", "fd73::/64")
    assert node.allocate(owner("a")) == addresses("10.73.0.2", "fd73::2")
    assert node.allocate(owner("b"), families=[6]) == addresses("fd73::3")
    assert node.addresses_of(owner("a")) == addresses("10.73.0.2", "fd73::2")
    assert node.owner_of(ip_address("fd73::3")) == owner("b")


def test_when_one_family_is_full_the_other_gives_nothing() -> None:
    node = ipam("10.0.0.0/30", "fd73::/64")
    node.allocate(owner("a"), families=[4])
    before = node.usage()
    with pytest.raises(Exhausted, match=r"no free address in 10\.0\.0\.0/30"):
        node.allocate(owner("b"), families=[6, 4])
    assert node.usage() == before
    assert node.allocate(owner("c"), families=[6]) == addresses("fd73::2")


def test_a_family_without_a_range_is_the_callers_fault() -> None:
    with pytest.raises(InvalidObject, match=r"no IPv6 range on this node: add one to network.podCIDRs"):
        ipam("10.0.0.0/24").allocate(owner("a"), families=[6])


def test_one_address_from_each_named_set_of_ranges() -> None:
    node = ipam("10.0.0.0/24", "10.0.1.0/24", "fd73::/64")
    sets = [[ip_network("10.0.1.0/24")], [ip_network("fd73::/64")]]
    assert node.allocate_from(owner("a"), sets) == addresses("10.0.1.2", "fd73::2")


def test_a_part_of_a_range_gives_its_lowest_fresh_address_then_the_one_released_longest_ago() -> None:
    node = ipam("10.0.0.0/24")
    part = [[ip_network("10.0.0.8/31"), ip_network("10.0.0.10/32")]]
    assert [node.allocate_from(owner(name), part) for name in "abc"] == [addresses(f"10.0.0.{last}") for last in (8, 9, 10)]
    assert node.allocate(owner("other")) == addresses("10.0.0.2")
    with pytest.raises(Exhausted, match=r"no free address in 10.0.0.8 to 10.0.0.10 of 10.0.0.0/24 \(4 used\)"):
        node.allocate_from(owner("d"), part)
    for name in ("other", "b", "a"):
        node.release(owner(name))
    assert node.allocate_from(owner("e"), part) == addresses("10.0.0.9")


def test_a_part_never_gives_what_the_range_keeps() -> None:
    node = ipam("10.0.0.0/29", reserved=["10.0.0.2"])
    assert node.allocate_from(owner("a"), [[ip_network("10.0.0.0/30")]]) == addresses("10.0.0.3")
    with pytest.raises(Exhausted):
        node.allocate_from(owner("b"), [[ip_network("10.0.0.0/30")]])


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ([["10.0.0.0/25"], ["10.0.0.64/26"]], "range 10.0.0.0/25 of one set overlaps range 10.0.0.64/26 of another"),
        ([["192.168.0.0/24"]], r"range 192.168.0.0/24 is not one of this node's: choose from 10.0.0.0/24, fd73::/64"),
        ([["10.0.0.0/24", "fd73::/64"]], "different families"),
        ([["10.0.0.0/24"], ["10.0.0.0/24"]], "range 10.0.0.0/24 is asked for twice"),
    ],
)
def test_ranges_that_make_no_sense_are_refused(sets: list[list[str]], message: str) -> None:
    with pytest.raises(InvalidObject, match=message):
        ipam("10.0.0.0/24", "fd73::/64").allocate_from(owner("a"), [[ip_network(n) for n in s] for s in sets])


def test_claiming_addresses_by_name() -> None:
    node = ipam("10.0.0.0/29", "fd73::/64")
    assert node.claim(owner("a"), addresses("10.0.0.2", "fd73::dead")) == addresses("10.0.0.2", "fd73::dead")
    assert node.allocate(owner("b"), families=[4]) == addresses("10.0.0.3")


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("10.0.0.3", AlreadyExists, "address 10.0.0.3 is held by interface eth0 of container a in network podwright"),
        ("10.0.0.0", InvalidObject, "10.0.0.0 is the network address of 10.0.0.0/29: ask for one of 10.0.0.2-10.0.0.6"),
        ("10.0.0.1", InvalidObject, "10.0.0.1 is the gateway of"),
        ("10.0.0.7", InvalidObject, "10.0.0.7 is the broadcast address of"),
        ("10.0.0.6", InvalidObject, "10.0.0.6 is reserved for the node of"),
        ("fd73::", InvalidObject, "fd73:: is the subnet-router anycast address of"),
        ("fd73::1", InvalidObject, "fd73::1 is the gateway of"),
        ("10.0.0.8", InvalidObject, "10.0.0.8 is in no range of this node: ask for one in 10.0.0.0/29, fd73::/64"),
        ("9.255.255.255", InvalidObject, "in no range"),
    ],
)
def test_an_address_that_cannot_be_claimed(address: str, error: type[Exception], message: str) -> None:
    node = ipam("10.0.0.0/29", "fd73::/64", reserved=["10.0.0.6", "192.0.2.1"])
    node.claim(owner("a"), addresses("10.0.0.3"))
    with pytest.raises(error, match=message):
        node.claim(owner("b"), [ip_address("fd73::5"), ip_address(address)])
    assert node.owner_of(ip_address("fd73::5")) is None, "the first address was given although the second was refused"


def test_an_owner_holds_one_lease() -> None:
    node = ipam("10.0.0.0/24")
    node.allocate(owner("a"))
    node.allocate(owner("a", ifname="net1"))
    with pytest.raises(AlreadyExists, match=r"interface eth0 of container a in network podwright already holds 10.0.0.2"):
        node.allocate(owner("a"))
    with pytest.raises(AlreadyExists, match="already holds"):
        node.claim(owner("a"), addresses("10.0.0.9"))


def test_release_is_idempotent() -> None:
    node = ipam("10.0.0.0/24")
    node.allocate(owner("a"))
    assert node.release(owner("a")) == addresses("10.0.0.2")
    assert node.release(owner("a")) == ()
    assert node.release(owner("never seen")) == ()
    assert node.usage()[0].used == 0


def test_a_quarantined_address_is_not_given_even_when_nothing_else_is_free() -> None:
    node = ipam("10.0.0.0/30")
    node.allocate(owner("a"))
    given_back = node.release(owner("a"), quarantine=True)
    with pytest.raises(Exhausted, match=r"no free address in 10.0.0.0/30 \(0 used, 1 in quarantine\)"):
        node.allocate(owner("b"))
    with pytest.raises(Unavailable, match="try again"):
        node.claim(owner("b"), given_back)
    node.end_quarantine(given_back)
    node.end_quarantine(given_back)
    assert node.allocate(owner("b")) == given_back
    node.end_quarantine(given_back)
    assert node.owner_of(given_back[0]) == owner("b")


def test_restart_continues_behind_the_addresses_in_use() -> None:
    """.2 and .3 may have been released just before; they come last, not first."""
    node = ipam("10.0.0.0/29")
    node.restore(owner("a"), addresses("10.0.0.4"))
    assert [node.allocate(owner(str(n))) for n in range(4)] == [addresses(f"10.0.0.{n}") for n in (5, 6, 2, 3)]


def test_a_lease_outside_todays_ranges_is_kept_and_reported() -> None:
    node = ipam("10.0.0.0/24")
    assert node.restore(owner("a"), addresses("10.9.9.9", "10.0.0.1", "10.0.0.5", "fd00::5")) == addresses(
        "10.9.9.9", "10.0.0.1", "fd00::5"
    )
    assert node.owner_of(ip_address("10.9.9.9")) == owner("a")
    assert node.usage()[0].used == 1
    assert node.release(owner("a"), quarantine=True) == addresses("10.9.9.9", "10.0.0.1", "10.0.0.5", "fd00::5")
    assert node.owner_of(ip_address("10.9.9.9")) is None


def test_two_owners_on_record_cannot_have_one_address() -> None:
    node = ipam("10.0.0.0/24")
    assert node.restore(owner("a"), addresses("10.0.0.5")) == ()
    with pytest.raises(AlreadyExists, match="held by interface eth0 of container a"):
        node.restore(owner("b"), addresses("10.0.0.6", "10.0.0.5"))
    assert node.owner_of(ip_address("10.0.0.6")) is None


def test_usage_counts_without_counting() -> None:
    node = ipam("10.73.0.0/20", "fd73::/64", reserved=["10.73.0.77"])
    node.allocate(owner("a"))
    four, six = node.usage()
    assert (four.total, four.used, four.free) == (4092, 1, 4091)
    assert (six.total, six.used, six.free) == (2**64 - 2, 1, 2**64 - 3)
