"""Token buckets, judged by tc(8) and by what the kernel gives back."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from agent.kernel import tc
from agent.kernel.netlink import NETLINK_ROUTE, NetlinkSocket
from agent.kernel.tc import RootQdisc, TokenBucket
from tests.fresh import in_new_netns, shell

pytestmark = [pytest.mark.kernel, pytest.mark.needs("tc", "ip")]
SLOW = TokenBucket(rate=2_500_000, burst=62_500, limit=187_500)


def on_a_veth(test: Callable[[NetlinkSocket, int], None]) -> None:
    def run() -> None:
        shell("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up")
        with NetlinkSocket(NETLINK_ROUTE) as session:
            test(session, socket.if_nametoindex("v0"))

    in_new_netns(run)


def root_of(session: NetlinkSocket, index: int) -> RootQdisc:
    (found,) = [each for each in tc.list_roots(session) if each.index == index]
    return found


@pytest.mark.parametrize(
    ("bucket", "shown"),
    [
        (SLOW, "rate 20Mbit burst 62500b lat 50ms"),
        (TokenBucket(125, 15_140, 15_146), "rate 1Kbit burst 15140b lat 48ms"),
        (TokenBucket(5_000_000_000, 125_000_000, 375_000_000), "rate 40Gbit burst 124995000b lat 50ms"),
        (TokenBucket(125_000_000_000_000, 2**40, 2**42), "rate 1000Tbit"),
    ],
    ids=["20M", "1k", "more than 32 bits of bytes a second", "1P"],
)
def test_as_tc_shows_it(bucket: TokenBucket, shown: str) -> None:
    def test(session: NetlinkSocket, index: int) -> None:
        session.transact([tc.set_bucket(index, bucket)])
        assert shown in shell("tc qdisc show dev v0")
        found = root_of(session, index)
        assert found.bucket is not None
        assert (found.kind, found.bucket.rate) == ("tbf", bucket.rate)

    on_a_veth(test)


def test_a_bucket_is_changed_in_place_and_removed_once_or_twice() -> None:
    def test(session: NetlinkSocket, index: int) -> None:
        session.transact([tc.set_bucket(index, SLOW)])
        handle = shell("tc qdisc show dev v0").split()[2]
        session.transact([tc.set_bucket(index, TokenBucket(SLOW.rate * 2, SLOW.burst, SLOW.limit))])
        shown = shell("tc qdisc show dev v0")
        assert (shown.split()[2], "rate 40Mbit" in shown) == (handle, True)
        for _ in range(2):
            session.transact([tc.remove_bucket(index)])
        assert root_of(session, index) == RootQdisc(index, "noqueue", None)
        session.transact([tc.remove_bucket(9999)])

    on_a_veth(test)


def test_another_kind_is_listed_without_a_bucket() -> None:
    def test(session: NetlinkSocket, index: int) -> None:
        shell("tc qdisc add dev v0 root pfifo limit 10")
        assert root_of(session, index) == RootQdisc(index, "pfifo", None)

    on_a_veth(test)
