"""The uplink's MTU, followed by every pod link while the agent runs and by the next agent when it did not."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.fresh import shell
from tests.places import UPLINK, Pod, eventually, make_pods, manifest, run
from tests.prober import NODE
from tests.running import RunningAgent

pytestmark = [pytest.mark.kernel, pytest.mark.needs("ip", "ping")]
LIMITED = manifest("b").replace("metadata: {name: b}", 'metadata: {name: b, annotations: {kubernetes.io/egress-bandwidth: "100M"}}')


@pytest.fixture(autouse=True)
def _uplink_as_found() -> Iterator[None]:
    yield
    shell(f"ip link set {UPLINK} mtu 1500")


@pytest.fixture(scope="module")
def pods(agent: RunningAgent) -> list[Pod]:
    return make_pods(agent, manifest("a"), LIMITED)


def mtus(pods: list[Pod], mode: str) -> set[int]:
    """Of everything that a pod's packets pass."""
    links = {link["ifname"]: link["mtu"] for link in json.loads(shell("ip -j link"))}
    found = {links[pod.host_link] for pod in pods} | {links[pods[1].host_link.replace("pwv", "pwi")]}
    found |= {json.loads(run(pod.place, "ip -j link show eth0"))[0]["mtu"] for pod in pods}
    return found | ({links["pw0"]} if mode == "bridge" else set())


def largest_passes(pods: list[Pod], mtu: int) -> bool:
    """A datagram of exactly the MTU, which nobody may cut, from the node to each pod and between the pods."""
    ways = [(NODE, pods[0]), (NODE, pods[1]), (pods[0].place, pods[1]), (pods[1].place, pods[0])]
    commands = [(place, f"ping -c1 -W2 -q -M do -s {mtu - 28} {pod.addresses[4]}") for place, pod in ways]
    return all(", 0% packet loss" in run(place, command, check=False) for place, command in commands)


@pytest.mark.parametrize("mtu", [1400, 9000, 1300])
def test_pods_follow_a_change_at_once(pods: list[Pod], mode: str, mtu: int) -> None:
    assert mtus(pods, mode) == {1500}
    shell(f"ip link set {UPLINK} mtu {mtu}")
    eventually(lambda: mtus(pods, mode) == {mtu})
    assert largest_passes(pods, mtu)
    shell(f"ip link set {UPLINK} mtu 1500")
    eventually(lambda: mtus(pods, mode) == {1500})
    assert largest_passes(pods, 1500)


def test_a_pod_that_comes_later_has_the_new_mtu(agent: RunningAgent, pods: list[Pod], mode: str) -> None:
    shell(f"ip link set {UPLINK} mtu 1450")
    eventually(lambda: mtus(pods, mode) == {1450})
    *_, late = make_pods(agent, manifest("a"), LIMITED, manifest("late"))
    assert json.loads(run(late.place, "ip -j link show eth0"))[0]["mtu"] == 1450
    agent.cli("delete", "pod", "late")


def test_a_restart_agrees_with_what_was_followed(agent: RunningAgent, pods: list[Pod], mode: str) -> None:
    shell(f"ip link set {UPLINK} mtu 1420")
    eventually(lambda: mtus(pods, mode) == {1420} and recorded(agent) == {1420})
    agent.restart()
    assert mtus(pods, mode) == {1420}


def test_a_change_while_no_agent_runs_is_followed_by_the_next_one(agent: RunningAgent, pods: list[Pod], mode: str) -> None:
    agent.kill()
    shell(f"ip link set {UPLINK} mtu 1380")
    agent.start()
    eventually(lambda: mtus(pods, mode) == {1380} and recorded(agent) == {1380})


def recorded(agent: RunningAgent) -> set[int]:
    return {int(each["mtu"]) for each in agent.client.get("/apis/podwright.io/v1/attachments")["items"]}


def test_without_a_way_out_nothing_is_followed(agent: RunningAgent, pods: list[Pod], mode: str) -> None:
    """A link that goes down for a moment is no reason to touch every pod."""
    shell(f"ip link set {UPLINK} mtu 1440")
    eventually(lambda: mtus(pods, mode) == {1440})
    routes = shell("ip route show default") + shell("ip -6 route show default")
    shell(f"ip route del default; ip -6 route del default; ip link set {UPLINK} mtu 1410")
    agent.apply(manifest("meanwhile"))
    agent.wait_for_pods(3)
    assert mtus(pods, mode) == {1440}
    agent.cli("delete", "pod", "meanwhile")
    for line in filter(None, routes.splitlines()):
        shell(f"ip {'-6' if '2001:' in line else '-4'} route add {line.split(' proto')[0].split(' metric')[0]}")
