"""Traffic between devices that are none of ours: a node that only became a router for its pods routes nothing else.

What was forwarded before the agent came, and what other tools' bridges want, goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fresh import shell
from tests.places import NODE_ADDRESS, OUTSIDE, SEGMENT, UPLINK, eventually, make_pods, manifest, new_namespace, run
from tests.prober import NODE, Servers, ask
from tests.running import RunningAgent

pytestmark = [pytest.mark.kernel, pytest.mark.needs("ip", "nft")]

FORWARDING = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}
WITHOUT_DAD = "sysctl -qw net.ipv6.conf.{}.accept_dad=0"
"""Else link-local addresses, with which routers ask for neighbours, are of no use for a second or two."""
PREFIX = {4: 24, 6: 64}
ROUTER = {4: "192.0.2.1", 6: "2001:db8::1"}


@dataclass(frozen=True)
class Guest:
    """A namespace behind a device of the node that is not ours."""

    place: Path
    addresses: dict[int, str]


@contextmanager
def guest(number: int, *, bridge: str = "") -> Iterator[Guest]:
    """Guest 1 is 10.91.1.2 and fd91:1::2; the node, on its device or the bridge, ends in 1."""
    device, nets = f"guest{number}", {4: f"10.91.{number}.", 6: f"fd91:{number}::"}
    with new_namespace() as place:
        shell(f"ip link add {device} type veth peer name eth0 netns /proc/{os.getpid()}/fd/{place.name}")
        if bridge:
            shell(f"ip link add {bridge} type bridge && {WITHOUT_DAD.format(bridge)} && ip link set {bridge} up")
            shell(f"ip link set {device} master {bridge}")
        shell(f"{WITHOUT_DAD.format(device)} && ip link set {device} up")
        run(place, f"{WITHOUT_DAD.format('eth0')} && ip link set eth0 up")
        for family, net in nets.items():
            nodad = "nodad" if family == 6 else ""
            shell(f"ip address add {net}1/{PREFIX[family]} dev {bridge or device} {nodad}")
            run(place, f"ip address add {net}2/{PREFIX[family]} dev eth0 {nodad} && ip -{family} route add default via {net}1")
        try:
            yield Guest(place, {family: f"{net}2" for family, net in nets.items()})
        finally:
            shell(f"ip link del {device}" + (f"; ip link del {bridge}" if bridge else ""))


@contextmanager
def forwarding(**before: int) -> Iterator[None]:
    """Of the node before the agent comes: v4=1 for a node that is a router already."""
    found = {name: shell(f"sysctl -n {name}").strip() for name in FORWARDING.values()}
    for family, name in FORWARDING.items():
        shell(f"sysctl -qw {name}={before[f'v{family}']}")
    try:
        yield
    finally:
        shell("sysctl -qw " + " ".join(f"{name}={value}" for name, value in found.items()))


@contextmanager
def running_agent(directory: Path, mode: str) -> Iterator[RunningAgent]:
    agent = RunningAgent(directory, network__mode=mode)
    agent.start()
    try:
        yield agent
    finally:
        agent.clear()


def reaches(sender: Guest, receiver: Guest, family: int) -> bool:
    return ask(sender.place, "udp", receiver.addresses[family], 7000, timeout_s=0.3) is not None


@pytest.fixture
def guests() -> Iterator[tuple[Guest, Guest]]:
    with ExitStack() as stack:
        pair = stack.enter_context(guest(1)), stack.enter_context(guest(2))
        servers = stack.enter_context(Servers())
        for number, each in enumerate(pair, 1):
            servers.listen(each.place, f"guest{number}", 7000)
        yield pair


@pytest.mark.parametrize("before", [{"v4": 1, "v6": 0}, {"v4": 0, "v6": 1}], ids=str)
def test_only_what_was_forwarded_before_is_forwarded(
    tmp_path: Path, mode: str, guests: tuple[Guest, Guest], before: dict[str, int]
) -> None:
    """Family by family: turning IPv6 on must not cost a router its IPv4."""
    one, two = guests
    wanted = {family: bool(before[f"v{family}"]) for family in (4, 6)}
    with forwarding(**before):
        with running_agent(tmp_path, mode) as agent:
            assert {family: reaches(one, two, family) for family in (4, 6)} == wanted
            agent.restart()
            assert {family: reaches(two, one, family) for family in (4, 6)} == wanted
        assert {family: reaches(one, two, family) for family in (4, 6)} == wanted, "after the agent was cleared"
        assert {family: shell(f"sysctl -n {FORWARDING[family]}").strip() for family in (4, 6)} == {f: str(before[f"v{f}"]) for f in (4, 6)}


def foreign_devices() -> str:
    return shell("nft list set inet podwright foreign_ok")


def test_the_guests_of_another_tools_bridge_go_on(tmp_path: Path, mode: str, guests: tuple[Guest, Guest]) -> None:
    """A bridge that was there before the agent, one that comes while it runs, and one that goes."""
    one, two = guests
    with ExitStack() as stack:
        stack.enter_context(forwarding(v4=0, v6=0))
        early = stack.enter_context(guest(3, bridge="docker0"))
        agent = stack.enter_context(running_agent(tmp_path, mode))
        (pod,) = make_pods(agent, manifest("a"))
        assert [reaches(early, one, family) for family in (4, 6)] == [True, True]
        with guest(4, bridge="virbr7") as late:
            eventually(lambda: '"virbr7"' in foreign_devices())
            assert [reaches(late, one, family) for family in (4, 6)] == [True, True]
            agent.restart()
            assert [reaches(late, one, family) for family in (4, 6)] == [True, True]
        eventually(lambda: '"virbr7"' not in foreign_devices())
        assert [reaches(one, two, family) for family in (4, 6)] == [False, False]
        assert "pw0" not in foreign_devices()
        assert ask(pod.place, "udp", one.addresses[4], 7000) is not None, "pods reach whom the node reaches"


@contextmanager
def uplink_as_bridge(name: str) -> Iterator[None]:
    """As hypervisors have it: the uplink is a port, its addresses and default routes are the bridge's."""
    try:
        shell(f"ip link add {name} type bridge forward_delay 0 mcast_snooping 0 && ip link set {name} up")
        move_addresses(UPLINK, name)
        shell(f"ip link set {UPLINK} master {name}")
        yield
    finally:
        shell(f"ip link set {UPLINK} nomaster")
        move_addresses(name, UPLINK)
        shell(f"ip link del {name}")
        run(OUTSIDE, f"ip neighbour flush dev {SEGMENT}")  # the bridge's MAC, which may have been another


def move_addresses(old: str, new: str) -> None:
    for family, address in NODE_ADDRESS.items():
        nodad = "nodad" if family == 6 else ""
        shell(f"ip address del {address}/{PREFIX[family]} dev {old} && ip address add {address}/{PREFIX[family]} dev {new} {nodad}")
        shell(f"ip -{family} route replace default via {ROUTER[family]} dev {new}")


@pytest.mark.needs("/proc/sys/net/bridge/bridge-nf-call-iptables")
def test_a_guest_that_is_bridged_to_the_uplink_goes_on_under_bridge_netfilter(tmp_path: Path, mode: str) -> None:
    """Its frames are not the node's to route, but with bridge-nf-call-iptables=1 they pass the node's forward hook."""
    addresses = {4: "192.0.2.77", 6: "2001:db8::77"}
    with ExitStack() as stack:
        stack.enter_context(forwarding(v4=0, v6=0))
        stack.enter_context(uplink_as_bridge("br0"))
        shell("sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1")
        place = stack.enter_context(new_namespace())
        shell(f"ip link add vm0 type veth peer name eth0 netns /proc/{os.getpid()}/fd/{place.name}")
        stack.callback(shell, "ip link del vm0")
        shell("ip link set vm0 master br0 up")
        run(place, f"{WITHOUT_DAD.format('eth0')} && ip link set eth0 up")
        run(place, f"ip address add {addresses[4]}/24 dev eth0 && ip address add {addresses[6]}/64 dev eth0 nodad")
        agent = stack.enter_context(running_agent(tmp_path, mode))
        (pod,) = make_pods(agent, manifest("a"))
        servers = stack.enter_context(Servers())
        for family in (4, 6):
            servers.listen(OUTSIDE, "outside", 7003, address=ROUTER[family])
            assert ask(place, "udp", ROUTER[family], 7003) is not None
            assert ask(pod.place, "udp", ROUTER[family], 7003) is not None
        servers.listen(NODE, "node", 7004)
        assert ask(place, "udp", NODE_ADDRESS[4], 7004) is not None
