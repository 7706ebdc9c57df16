"""What others take from the node's side of the network under living pods comes back while the agent runs."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fresh import shell
from tests.places import Pod, eventually, make_pods, manifest, run
from tests.prober import NODE
from tests.running import RunningAgent

pytestmark = [pytest.mark.kernel, pytest.mark.needs("ip", "bridge", "ping")]
SYSCTL = Path("/proc/sys/net")
SETTINGS = ("forwarding", "send_redirects", "route_localnet")


@pytest.fixture(scope="module")
def pods(agent: RunningAgent) -> list[Pod]:
    return make_pods(agent, manifest("a"), manifest("b"))


@pytest.fixture
def whole(agent: RunningAgent, pods: list[Pod], mode: str) -> Iterator[list[str]]:
    """The node's side as lines, which must be the same again after the test; the numbers of links that are made again differ."""
    before = shape(pods, mode)
    assert all(reach(pods).values())
    yield before
    try:
        eventually(lambda: shape(pods, mode) == before, timeout_s=10)
    except AssertionError:
        assert shape(pods, mode) == before, agent.tail()
    eventually(lambda: all(reach(pods).values()), timeout_s=10)


def shape(pods: list[Pod], mode: str) -> list[str]:
    lines = []
    names = [pod.host_link for pod in pods] + (["pw0"] if mode == "bridge" else [])
    for link in json.loads(shell("ip -j -d link")):
        if link["ifname"] in names:
            port = link.get("linkinfo", {}).get("info_slave_data", {})
            shown = {name: link.get(name) for name in ("ifname", "mtu", "address", "ifalias", "master", "operstate", "inet6_addr_gen_mode")}
            flags = {name: port.get(name) for name in ("hairpin", "learning", "flood", "mcast_flood", "bcast_flood")}
            sysctls = [
                (SYSCTL / f"ipv4/conf/{link['ifname']}/{name}").read_text() for name in ("forwarding", "send_redirects", "route_localnet")
            ]
            lines.append(f"{shown} {flags} {sysctls}")
    for command in ("ip route", "ip -6 route", "ip neighbour show nud permanent", "bridge fdb show", "ip address show scope global"):
        ours = ("proto 112", "PERMANENT", "static", "10.73.0.1/", "fd73:7077:7269::1/")
        lines += [line.strip() for line in shell(command).splitlines() if any(word in line for word in ours)]
    lines += [(SYSCTL / name).read_text() for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv4/conf/all/send_redirects")]
    return sorted(lines)


def reach(pods: list[Pod]) -> dict[str, bool]:
    ways = [(NODE, pods[0]), (NODE, pods[1]), (pods[0].place, pods[1]), (pods[1].place, pods[0])]
    return {
        f"{place} {pod.addresses[family]}": ", 0% packet loss" in run(place, f"ping -c1 -W1 -q {pod.addresses[family]}", check=False)
        for place, pod in ways
        for family in (4, 6)
    }


BOTH = {
    "host link down": "ip link set {link} down",
    "host link's MTU": "ip link set {link} mtu 1280",
    "host link's MAC": "ip link set {link} address 0a:00:00:00:00:09",
    "host link's alias": "ip link set {link} alias 'mine now'",
    "routes to a pod": "ip route del {v4}; ip -6 route del {v6}",
    "all of our routes": "ip route flush proto 112; ip -6 route flush proto 112",
    "unreachable ranges": "ip route flush type unreachable; ip -6 route flush type unreachable",
    "no router any more": "sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0",
    "host link deleted": "ip link del {link}",
}
BRIDGE = {
    "bridge down": "ip link set pw0 down",
    "bridge deleted": "ip link del pw0",
    "bridge's MTU": "ip link set pw0 mtu 1400",
    "bridge's MAC": "ip link set pw0 address 0a:00:00:00:00:09",
    "bridge's addresses": "ip address flush dev pw0",
    "a port leaves": "ip link set {link} nomaster",
    "a port learns and floods": "bridge link set dev {link} learning on flood on mcast_flood on bcast_flood on",
    "a port without hairpin": "bridge link set dev {link} hairpin off",
    "static forwarding": "bridge fdb del {mac} dev {link} master static",
    "permanent neighbours": "ip neighbour del {v4} dev pw0; ip neighbour del {v6} dev pw0",
    "another neighbour": "ip neighbour replace {v4} lladdr 0a:00:00:00:00:08 dev pw0 nud permanent",
}
ROUTED = {
    "gateways": "ip address del 10.73.0.1/32 dev lo; ip address del fd73:7077:7269::1/128 dev lo",
    "permanent neighbours": "ip neighbour flush dev {link} nud permanent",
}


@pytest.fixture
def damage(agent: RunningAgent, pods: list[Pod], mode: str, whole: list[str]) -> Callable[[str], None]:
    """Does it while the agent is held, so that it is seen to do harm; `whole` sees to the rest."""

    def act(command: str) -> None:
        os.kill(agent.pid, signal.SIGSTOP)
        try:
            shell(command.format(link=pods[0].host_link, mac=pods[0].mac, v4=pods[0].addresses[4], v6=pods[0].addresses[6]))
            assert shape(pods, mode) != whole
        finally:
            os.kill(agent.pid, signal.SIGCONT)

    return act


@pytest.mark.parametrize("command", BOTH.values(), ids=BOTH)
def test_it_comes_back(damage: Callable[[str], None], command: str) -> None:
    damage(command)


@pytest.mark.parametrize("mode", ["bridge"], indirect=True, scope="module")
@pytest.mark.parametrize("command", BRIDGE.values(), ids=BRIDGE)
def test_it_comes_back_with_a_bridge(damage: Callable[[str], None], command: str) -> None:
    damage(command)


@pytest.mark.parametrize("mode", ["routed"], indirect=True, scope="module")
@pytest.mark.parametrize("command", ROUTED.values(), ids=ROUTED)
def test_it_comes_back_without_a_bridge(damage: Callable[[str], None], command: str) -> None:
    damage(command)


def test_settings_that_change_without_a_word_come_back_at_the_next_look(damage: Callable[[str], None]) -> None:
    """A route tells of it, so that the test need not wait for the clock."""
    damage("sysctl -qw net.ipv4.conf.{link}.route_localnet=0 net.ipv4.conf.all.send_redirects=1; ip route del {v4}")


def test_what_the_node_was_before_is_on_record_when_forwarding_is_ours_from_now_on(agent: RunningAgent, pods: list[Pod]) -> None:
    record = agent.run_dir / "settings-before.json"
    os.kill(agent.pid, signal.SIGSTOP)
    record.unlink(missing_ok=True)  # as if somebody else had made the node a router
    (SYSCTL / "ipv4/ip_forward").write_text("0")
    os.kill(agent.pid, signal.SIGCONT)
    eventually(lambda: (SYSCTL / "ipv4/ip_forward").read_text() == "1\n")
    assert json.loads(record.read_text())["net/ipv4/ip_forward"] == "0"
    assert "meta nfproto ipv4" in shell("nft list chain inet podwright forward")


def test_what_we_do_ourselves_is_not_put_right(agent: RunningAgent, pods: list[Pod]) -> None:
    """And a look that finds nothing to do leads to no further one."""

    def repairs() -> int:
        return sum(line.count("putting") for line in agent.log.read_text().splitlines())

    eventually(lambda: quiet(agent))
    before = repairs()
    make_pods(agent, manifest("a"), manifest("b"), *(manifest(f"more{n}") for n in range(20)))
    for n in range(20):
        agent.client.request("DELETE", f"/api/v1/namespaces/default/pods/more{n}")
    agent.wait_for_pods(2)
    eventually(lambda: quiet(agent))
    assert repairs() == before, agent.tail()


def quiet(agent: RunningAgent) -> bool:
    """The agent's threads slept through half a second."""

    def ticks() -> int:
        return sum(map(int, Path(f"/proc/{agent.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))

    before = ticks()
    shell("sleep 0.5")
    return ticks() - before <= 2
