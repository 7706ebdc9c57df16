"""One family, the other, several ranges of one, and a node that has no IPv6 itself: the same reach everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest

from agent.kernel import sysctl
from tests.packets import Wire
from tests.places import NODE_ADDRESS, OUTSIDE, OUTSIDE_ADDRESS, Pod, make_pods, manifest, new_namespace, run
from tests.prober import NODE, Servers, answer, ask, inside
from tests.running import RunningAgent

pytestmark = pytest.mark.kernel

HOST_PORT = 8091
PORTS = [f"containerPort: 80, hostPort: {HOST_PORT}, protocol: {protocol}" for protocol in ("TCP", "UDP")]
RANGE = {4: "10.73.0.0/20", 6: "fd73:7077:7269::/64"}
SMALL_RANGES = ("10.73.0.0/29", "10.74.0.0/29")
FORWARDING = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}


@contextmanager
def running(directory: Path, mode: str, *ranges: str, place: Path = NODE) -> Iterator[RunningAgent]:
    """An agent with these pod CIDRs, on the node or in a namespace that stands for another one."""
    settings = {"network__pod_cidrs": ",".join(ranges)} if ranges else {}
    agent = RunningAgent(directory, network__mode=mode, **settings)
    with inside(place):
        agent.start()
    try:
        yield agent
    finally:
        with inside(place):
            agent.clear()


@contextmanager
def serving(*pods: Pod, place: Path = NODE) -> Iterator[None]:
    with Servers() as servers:
        for pod in pods:
            servers.listen(pod.place, pod.name, 80)
        servers.listen(place, "node", 7000)
        for address in OUTSIDE_ADDRESS.values():
            servers.listen(OUTSIDE, "outside", 7001, address=address)
        yield


def assert_reach(a: Pod, b: Pod, family: int) -> None:
    """`a` has the host port."""
    for kind in ("tcp", "udp"):
        assert answer(a.place, kind, b.addresses[family], 80).saw == a.addresses[family]
        assert answer(NODE, kind, b.addresses[family], 80).name == b.name
        assert answer(b.place, kind, NODE_ADDRESS[family], 7000).sender == NODE_ADDRESS[family]
        assert answer(b.place, kind, OUTSIDE_ADDRESS[family], 7001).saw == NODE_ADDRESS[family]
        for place in (OUTSIDE, NODE, b.place, a.place):
            assert answer(place, kind, NODE_ADDRESS[family], HOST_PORT).name == a.name


@pytest.mark.parametrize("family", [4, 6])
def test_one_family(tmp_path: Path, mode: str, family: int) -> None:
    other = 10 - family
    before = sysctl.read(FORWARDING[other])
    with running(tmp_path, mode, RANGE[family]) as agent:
        a, b = make_pods(agent, manifest("a", *PORTS), manifest("b"))
        assert set(a.addresses) == set(b.addresses) == {family}
        with serving(a, b):
            assert_reach(a, b, family)
            assert ask(OUTSIDE, "udp", NODE_ADDRESS[other], HOST_PORT) is None
        assert sysctl.read(FORWARDING[other]) == before
        assert "global" not in run(a.place, f"ip -{other} address show dev eth0")
        with Wire(a.place, "eth0") as wire:
            assert wire.mac == a.mac
            assert wire.mac.startswith("0a:58:")


def test_pods_of_several_ranges(tmp_path: Path, mode: str) -> None:
    """Two of one family: a range that is full is followed by the next, each with a gateway of its own."""
    with running(tmp_path, mode, *SMALL_RANGES, RANGE[6]) as agent:
        pods = make_pods(agent, manifest("a", *PORTS), *(manifest(f"b{number}") for number in range(7)))
        by_range = {cidr: [pod for pod in pods if pod.address(4) in ip_network(cidr)] for cidr in SMALL_RANGES}
        first, second = by_range.values()
        assert len(first) + len(second) == len(pods)
        a = pods[0]
        others = [next(pod for pod in there if pod is not a) for there in (first, second)]
        with serving(a, *others):
            for b in others:
                assert_reach(a, b, 4)
                assert_reach(a, b, 6)


def test_a_node_without_ipv6_has_pods_with_it(tmp_path: Path, mode: str) -> None:
    with new_namespace() as node, new_namespace() as world:
        run(node, f"ip link add uplink type veth peer name eth0 netns {world}; ip address add 192.0.2.11/24 dev uplink")
        run(node, "ip link set uplink up; ip route add default via 192.0.2.1")
        run(world, "ip address add 192.0.2.1/24 dev eth0; ip address add 198.51.100.1 dev lo; ip link set eth0 up")
        with running(tmp_path, mode, place=node) as agent, Servers() as servers:
            a, b = make_pods(agent, manifest("a", *PORTS), manifest("b"))
            for pod in (a, b):
                servers.listen(pod.place, pod.name, 80)
            servers.listen(world, "outside", 7001)
            for family in (4, 6):
                assert answer(a.place, "tcp", b.addresses[family], 80).saw == a.addresses[family]
                assert answer(node, "tcp", b.addresses[family], 80).name == "b"
            assert answer(b.place, "tcp", "198.51.100.1", 7001).saw == "192.0.2.11"
            assert answer(world, "tcp", "192.0.2.11", HOST_PORT).name == "a"
