"""Another node, played by the outside: its pods are reached by a route, and see ours with their own addresses."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.fresh import shell
from tests.places import NODE_ADDRESS, OUTSIDE, Pod, eventually, make_pods, manifest, run
from tests.prober import Servers, answer
from tests.running import RunningAgent

pytestmark = [pytest.mark.kernel, pytest.mark.needs("ip", "nft")]

PORT = 7010
REMOTE_POD = {4: "10.99.0.5", 6: "fd99::5"}
REMOTE_CIDR = {4: "10.99.0.0/24", 6: "fd99::/64"}
REMOTE_NODE = {4: "192.0.2.1", 6: "2001:db8::1"}
NODE_B = f"""
apiVersion: v1
kind: Node
metadata: {{name: b}}
spec: {{podCIDRs: [{REMOTE_CIDR[4]}, '{REMOTE_CIDR[6]}']}}
status:
  addresses:
  - {{type: InternalIP, address: {REMOTE_NODE[4]}}}
  - {{type: InternalIP, address: '{REMOTE_NODE[6]}'}}
"""


@pytest.fixture(scope="module")
def pod(agent: RunningAgent) -> Iterator[Pod]:
    """And the remote pod's addresses, with the way back."""
    (made,) = make_pods(agent, manifest("local"))
    for family in (4, 6):
        run(OUTSIDE, f"ip address add {REMOTE_POD[family]} dev lo")
        run(OUTSIDE, f"ip route add {made.addresses[family]} via {NODE_ADDRESS[family]}")
    agent.apply(NODE_B)
    eventually(lambda: len(routes()) == 2)
    with Servers() as servers:
        servers.listen(OUTSIDE, "remote", PORT)
        yield made
    for family in (4, 6):
        run(OUTSIDE, f"ip address del {REMOTE_POD[family]} dev lo")
        run(OUTSIDE, f"ip route del {made.addresses[family]}")


def routes() -> list[str]:
    """Those of ours that lead by a gateway."""
    found = [each for family in (4, 6) for each in json.loads(shell(f"ip -j -{family} route show proto 112"))]
    return [f"{each['dst']} via {each['gateway']}" for each in found if "gateway" in each]


WANTED = [f"{REMOTE_CIDR[family]} via {REMOTE_NODE[family]}" for family in (4, 6)]


@pytest.mark.parametrize("family", [4, 6])
def test_a_pod_reaches_a_pod_of_another_node_without_masquerade(pod: Pod, family: int) -> None:
    assert answer(pod.place, "tcp", REMOTE_POD[family], PORT).saw == pod.addresses[family]


@pytest.mark.usefixtures("pod")
def test_routes_outlive_the_agent_and_are_adopted(agent: RunningAgent) -> None:
    agent.stop()
    assert routes() == WANTED
    agent.start()
    assert routes() == WANTED


@pytest.mark.parametrize("family", [4, 6])
def test_still_without_masquerade_after_the_restart(pod: Pod, family: int) -> None:
    assert answer(pod.place, "udp", REMOTE_POD[family], PORT).saw == pod.addresses[family]


@pytest.mark.usefixtures("pod")
def test_a_node_that_is_removed_takes_its_routes_along(agent: RunningAgent) -> None:
    agent.client.request("DELETE", "/api/v1/nodes/b")
    eventually(lambda: routes() == [])
