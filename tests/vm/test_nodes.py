"""Two machines: each its own pod CIDRs, each told of the other's Node object; their pods reach each other as they are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from disposable.machine import Machine

from .machines import start_agent, two

pytestmark = pytest.mark.vm

CIDRS = {1: ("10.73.0.0/24", "fd73:0:0:1::/64"), 2: ("10.73.1.0/24", "fd73:0:0:2::/64")}
POD = "apiVersion: v1\\nkind: Pod\\nmetadata: {name: %s}\\nspec: {containers: [{name: main, image: none}]}\\n"
# answers whoever connects with the address it came from
SERVER = (
    "import socket; s = socket.create_server(('::', 80), family=socket.AF_INET6, dualstack_ipv6=True)\n"
    "while True: c, a = s.accept(); c.send(a[0].removeprefix('::ffff:').encode()); c.close()"
)
ASK = "import socket,sys; print(socket.create_connection((sys.argv[1], 80), timeout=10).recv(99).decode())"


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Machine]]:
    for machines in two():
        for machine in machines:
            start_agent(machine, node_ips=f"[192.0.2.1{machine.number}, '2001:db8::1{machine.number}']", cidrs=CIDRS[machine.number])
        for here, there in (machines, machines[::-1]):
            document = there.out(f"podwright get node {there.name} -o yaml")
            here.run(f"podwright apply -f - <<'END'\n{document}\nEND")
        for machine in machines:
            machine.run(f"printf '{POD % f'pod-{machine.number}'}' | podwright apply -f -")
            machine.run("podwright wait pods --all --for=condition=PodReadyToStartContainers --timeout 60s")
            machine.run(f'podwright exec --detach pod-{machine.number} -- python3 -c "{SERVER}"')
        yield machines


def address(machine: Machine, family: int) -> str:
    found = machine.out(f"podwright get pod pod-{machine.number} -o jsonpath='{{.status.podIPs[*].ip}}'").split()
    return found[0 if family == 4 else 1]


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(("asker", "asked"), [(0, 1), (1, 0)])
def test_a_pod_reaches_a_pod_on_the_other_node_with_its_own_address(nodes: list[Machine], asker: int, asked: int, family: int) -> None:
    here, there = nodes[asker], nodes[asked]
    seen = here.out(f'podwright exec pod-{here.number} -- python3 -c "{ASK}" {address(there, family)}')
    assert seen == address(here, family)


@pytest.mark.parametrize("family", [4, 6])
def test_large_packets_go_through(nodes: list[Machine], family: int) -> None:
    here, there = nodes
    assert " 0% packet loss" in here.out(f"podwright exec pod-1 -- ping -{family} -M do -c 3 -s 1400 {address(there, family)}")


def test_routes_outlive_the_agent_and_go_with_the_node(nodes: list[Machine]) -> None:
    here, _ = nodes
    ways = "ip route show proto 112 | grep via; ip -6 route show proto 112 | grep via; true"
    before = here.out(ways)
    assert "10.73.1.0/24 via 192.0.2.12" in before
    assert "fd73:0:0:2::/64 via 2001:db8::12" in before
    here.run("systemctl stop podwright")
    assert here.out(ways) == before
    start_agent(here, node_ips="[192.0.2.11, '2001:db8::11']", cidrs=CIDRS[1])
    assert here.out(ways) == before
    here.run("podwright delete node node-2")
    here.run(f'for i in $(seq 50); do [ -n "$({ways})" ] || exit 0; sleep 0.2; done; exit 1')
