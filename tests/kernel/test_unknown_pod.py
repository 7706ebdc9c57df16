"""A pod that the agent does not know passes nothing: with the agent alive, dead and starting, and without the layer-2 table.

The stranger is what a crash may leave, or a forger make: a namespace, a veth, addresses, routes and neighbours just as
the datapath makes them. Only the agent has never heard of it.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.errors import PodwrightError
from agent.network.node import GATEWAY_MAC
from tests.places import NODE_ADDRESS, OUTSIDE, OUTSIDE_ADDRESS, Pod, make_pods, manifest, new_namespace, run
from tests.prober import NODE, Conversation, Servers
from tests.running import RunningAgent

pytestmark = [pytest.mark.kernel, pytest.mark.needs("nft")]

LINK, MAC = "pwvstranger", "0a:58:0a:49:0f:fe"
ADDRESS = {4: "10.73.15.254", 6: "fd73:7077:7269::fffe"}
GATEWAY = {
    "bridge": {4: "10.73.0.1", 6: "fd73:7077:7269::1"},
    "routed": {4: "169.254.1.1", 6: "fe80::1"},
}
LAYER_2 = {"bridge": "bridge podwright", "routed": "netdev podwright"}
LONG_ENOUGH_S = 0.05


@dataclass(frozen=True)
class World:
    known: Pod
    other: Pod
    stranger: Path

    def ways(self, place: Path, address: dict[int, str]) -> dict[str, tuple[Path, str, int]]:
        """What a pod at `place` asks, and what is asked of it."""
        return {
            name + str(family): way
            for family in (4, 6)
            for name, way in {
                "to pod": (place, self.known.addresses[family], 80),
                "to node": (place, NODE_ADDRESS[family], 7000),
                "to outside": (place, OUTSIDE_ADDRESS[family], 7001),
                "from pod": (self.known.place, address[family], 80),
                "from node": (NODE, address[family], 80),
            }.items()
        }

    @contextmanager
    def asking(self) -> Iterator[Asking]:
        """The stranger's questions, and those to it."""
        with Asking(self.ways(self.stranger, ADDRESS)) as asking:
            yield asking


class Asking:
    """Datagrams on every way at once; `answered` names the ways on which any of them was ever answered."""

    def __init__(self, ways: dict[str, tuple[Path, str, int]]) -> None:
        self._ways, self._stack = ways, ExitStack()
        self.answered: set[str] = set()

    def __enter__(self) -> Asking:
        self._flows = {
            name: self._stack.enter_context(Conversation(way[0], "udp", *way[1:], timeout_s=0)) for name, way in self._ways.items()
        }
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ask(self, for_s: float = LONG_ENOUGH_S) -> set[str]:
        deadline = time.monotonic() + for_s
        while time.monotonic() < deadline:
            self.answered |= {name for name, flow in self._flows.items() if flow.ask()}
            time.sleep(0.001)
        return self.answered


@pytest.fixture(scope="module")
def world(agent: RunningAgent, mode: str) -> Iterator[World]:
    known, other = make_pods(agent, manifest("known"), manifest("other"))
    with new_namespace() as stranger, Servers() as servers:
        for pod in (known, other):
            servers.listen(pod.place, pod.name, 80)
        servers.listen(stranger, "stranger", 80)
        servers.listen(NODE, "node", 7000)
        for address in OUTSIDE_ADDRESS.values():
            servers.listen(OUTSIDE, "outside", 7001, address=address)
        yield World(known, other, stranger)


@pytest.fixture(autouse=True)
def stranger_is_there(world: World, mode: str) -> Iterator[None]:
    """Made anew for each test: an agent that starts takes a link of its name that nobody has on record away."""
    run(NODE, f"ip link add {LINK} address {GATEWAY_MAC} type veth peer name eth0 address {MAC} netns {world.stranger}")
    device = LINK
    if mode == "bridge":
        device = "pw0"
        run(NODE, f"ip link set {LINK} master pw0; bridge link set dev {LINK} hairpin on learning off flood off")
        run(NODE, f"bridge fdb replace {MAC} dev {LINK} master static")
    run(NODE, f"ip link set {LINK} up")
    run(world.stranger, "sysctl -qw net.ipv6.conf.eth0.accept_dad=0; ip link set eth0 up")
    for family in (4, 6):
        gateway = GATEWAY[mode][family]
        run(
            NODE,
            f"ip neighbour replace {ADDRESS[family]} lladdr {MAC} dev {device} nud permanent; ip route add {ADDRESS[family]} dev {device}",
        )
        run(
            world.stranger,
            f"ip address add {ADDRESS[family]} dev eth0; ip neighbour add {gateway} lladdr {GATEWAY_MAC} dev eth0 nud permanent",
        )
        run(world.stranger, f"ip route add {gateway} dev eth0; ip route add default via {gateway} dev eth0")
    yield
    run(NODE, f"ip link del {LINK}", check=False)
    for family in (4, 6):
        run(NODE, f"ip neighbour del {ADDRESS[family]} dev pw0; ip route del {ADDRESS[family]} dev pw0", check=False)


@pytest.mark.usefixtures("bridge_netfilter")
def test_with_the_agent_alive_dead_and_starting(world: World, agent: RunningAgent) -> None:
    with world.asking() as asking:
        assert asking.ask() == set()
        agent.kill()
        assert asking.ask() == set()
        agent.start(wait=False)
        while not is_ready(agent):
            assert asking.ask(0.01) == set()


def test_the_stranger_is_kept_out_by_the_firewall_alone(world: World, agent: RunningAgent, mode: str) -> None:
    """Without our tables it passes (but nobody hides its address from the outside): the other tests are about something."""
    agent.kill()
    run(NODE, f"nft delete table inet podwright; nft delete table {LAYER_2[mode]}")
    with world.asking() as asking:
        assert asking.ask() == {way for way in world.ways(world.stranger, ADDRESS) if "outside" not in way}
    agent.start()
    with world.asking() as asking:
        assert asking.ask() == set()


@pytest.mark.usefixtures("bridge_netfilter")
def test_deleting_the_layer_2_table_closes_the_pods_too(world: World, agent: RunningAgent, mode: str) -> None:
    everything = world.ways(world.other.place, world.other.addresses)
    agent.kill()
    run(NODE, f"nft delete table {LAYER_2[mode]}")
    with world.asking() as stranger, Asking(everything) as other:
        assert (stranger.ask(), other.ask()) == (set(), set())
        agent.start()
        assert other.ask() == set(everything)
        assert stranger.ask() == set()


def test_while_the_agent_lives_only_it_may_write_its_tables(world: World, agent: RunningAgent, mode: str) -> None:
    """Where the kernel knows tables with an owner, from 6.9 on; elsewhere the agent sees and repairs."""
    if not is_owned(LAYER_2[mode]):
        pytest.skip("needs a kernel with tables that have an owner")
    for table in ("inet podwright", LAYER_2[mode]):
        with pytest.raises(AssertionError, match="not permitted"):
            run(NODE, f"nft delete table {table}")
    with world.asking() as asking:
        assert asking.ask() == set()


def is_ready(agent: RunningAgent) -> bool:
    try:
        agent.client.request("GET", "/readyz")
    except PodwrightError:
        return False
    return True


def is_owned(table: str) -> bool:
    listed = subprocess.run(["nft", "-a", "list", "table", *table.split()], capture_output=True, text=True, check=True).stdout
    return "flags owner" in listed
