"""Limits as the commands a person would type, and what may be asked for."""

import msgspec
import pytest

from agent.errors import InvalidObject
from agent.kernel.tc import RootQdisc, TokenBucket
from agent.network import bandwidth
from agent.objects.attachment import Attachment, Bandwidth

from .conftest import attachment

BOTH = Bandwidth(ingress_rate=20_000_000, egress_rate=200_000_000)


def limited(wanted: Bandwidth) -> Attachment:
    return msgspec.structs.replace(attachment("10.73.0.5"), bandwidth=wanted)


def printed(wanted: Bandwidth) -> list[str]:
    return [str(request) for request in bandwidth.ensure(limited(wanted), "podwright x")]


def test_a_pod_without_limits_costs_nothing() -> None:
    assert printed(Bandwidth()) == []


def test_towards_the_pod_its_host_veth_is_shaped_and_from_it_a_link_of_its_own() -> None:
    assert printed(BOTH) == [
        "tc qdisc replace dev index 1048576 root tbf rate 2500000bps burst 62500b limit 187500b",
        "ip link add pwi2967ffa82230 index 1048577 mtu 1500 type ifb",
        "ip link set index 1048577 alias 'podwright x' addrgenmode none",
        "tc qdisc replace dev index 1048577 root tbf rate 25000000bps burst 625000b limit 1875000b",
        "ip link set index 1048577 mtu 1500",
        "ip link set index 1048577 up",
    ]


def test_one_direction_only() -> None:
    assert [line.split()[0] for line in printed(Bandwidth(ingress_rate=10**6))] == ["tc"]
    assert not any("1048576" in line for line in printed(Bandwidth(egress_rate=10**6)))


@pytest.mark.parametrize(
    ("rate", "burst", "size"),
    [
        (10**6, 0, 15_140),
        (10**9, 0, 3_125_000),
        (10**9, 800_000, 100_000),
        (10**9, 8, 1_514),
        (10**9, 2**31 - 1, 3_125_000),
        (10**9, 2**63 - 1, 3_125_000),
    ],
    ids=["ten frames", "25 ms of the rate", "as asked", "never less than a frame", "unbounded int32", "unbounded int64"],
)
def test_how_much_may_go_at_once(rate: int, burst: int, size: int) -> None:
    assert bandwidth.bucket(rate, burst, 1500).burst == size


def test_the_highest_rate_fits_the_kernels_numbers() -> None:
    line = printed(Bandwidth(ingress_rate=10**15))[0]
    assert "rate 125000000000000bps" in line


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (
            Bandwidth(ingress_rate=999),
            r"bandwidth.ingressRate: 999 bit/s is out of range, write 1000 to 1000000000000000, or 0 for no limit",
        ),
        (Bandwidth(egress_rate=10**15 + 1), r"bandwidth.egressRate: 1000000000000001 bit/s is out of range"),
        (Bandwidth(egress_burst=8), r"bandwidth.egressBurst: 8 bits without a rate: give egressRate too, or no burst"),
    ],
)
def test_what_cannot_be_had_is_refused_by_field(wanted: Bandwidth, problem: str) -> None:
    with pytest.raises(InvalidObject, match=problem):
        bandwidth.check(wanted)


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(InvalidObject) as refused:
        bandwidth.check(Bandwidth(ingress_rate=1, egress_rate=1))
    assert len(refused.value.problems) == 2
    bandwidth.check(BOTH)
    bandwidth.check(Bandwidth())


def qdisc(index: int, rate: int = 1) -> RootQdisc:
    return RootQdisc(index, "tbf", TokenBucket(rate, 1, 1))


def test_a_limit_that_is_not_wanted_any_more_is_taken_away() -> None:
    only_egress = limited(Bandwidth(egress_rate=10**6))
    stray = "tc qdisc del dev index 1048576 root"
    assert str(bandwidth.settle(only_egress, "", [qdisc(1048576)])[-1]) == stray
    assert stray not in map(str, bandwidth.settle(only_egress, "", []))
    assert stray not in map(str, bandwidth.settle(limited(BOTH), "", [qdisc(1048576)]))


def test_another_kind_of_qdisc_on_a_pods_link_is_somebodys_experiment() -> None:
    assert bandwidth.settle(limited(Bandwidth()), "", [RootQdisc(1048576, "netem", None)]) == ()
