"""What implementers of the specification get wrong, on real namespaces: each as it should be. (Rules about fields and
environment are tests/unit/cni's; the numbers are those of the list in the design notes.)
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rulesets import ours
from tests.running import RunningAgent
from tests.runtime.neighbours import shown
from tests.runtime.network_namespace import NetworkNamespace

pytestmark = pytest.mark.kernel
PORT = {"hostPort": 8085, "containerPort": 80, "protocol": "tcp"}
LIMITS = {"ingressRate": 10**7, "egressRate": 10**7}
Call = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module", params=["bridge", "routed"])
def agent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    running = RunningAgent(tmp_path_factory.mktemp("agent"), network__mode=request.param, network__pod_cidrs="10.73.0.0/29")
    running.start()
    yield running
    running.clear()


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[NetworkNamespace]:
    with NetworkNamespace.made(tmp_path / "pod") as made:
        yield made


@pytest.fixture
def call(agent: RunningAgent, pod: NetworkNamespace) -> Iterator[Call]:
    made: set[tuple[str, str, str]] = set()

    def call(
        verb: str, container: str = "c1", *, network: str = "pods", ifname: str = "eth0", netns: str | None = None, **fields: Any
    ) -> Any:
        path = str(pod.path) if netns is None else netns
        given = {"COMMAND": verb, "CONTAINERID": container, "NETNS": path, "IFNAME": ifname, "PATH": "/opt/cni/bin"}
        config = {"cniVersion": "1.1.0", "name": network, "type": "podwright", **fields}
        entries = "".join(f"CNI_{name}={value}\0" for name, value in given.items())
        made.add((container, network, ifname))
        answer = agent.client.request("POST", "/cni", body=f"{entries}\0{json.dumps(config)}".encode())
        return answer.document if answer.body else {}

    yield call
    for container, network, ifname in sorted(made):
        call("DEL", container, network=network, ifname=ifname, netns="")


def state() -> tuple[Any, ...]:
    """All of the node that an ADD touches."""
    links = sorted(link["ifname"] for link in shown("link", "show"))
    return ours(), links, shown("route", "show"), shown("neigh", "show", "nud", "permanent")


@pytest.mark.parametrize("gone", [False, True], ids=["the namespace is there", "the namespace has gone"])
def test_1_del_without_a_namespace_removes_all_of_the_node_side(call: Call, pod: NetworkNamespace, gone: bool) -> None:
    before = state()
    call("ADD", runtimeConfig={"portMappings": [PORT], "bandwidth": LIMITS})
    if gone:
        pod.delete()
    assert call("DEL", netns="") == {}
    assert state() == before


def test_2_del_needs_no_previous_result_and_believes_none(call: Call) -> None:
    before = state()
    call("ADD", runtimeConfig={"portMappings": [PORT]})
    wrong = {"cniVersion": "1.1.0", "interfaces": [{"name": "uplink"}], "ips": [{"address": "192.0.2.11/24", "interface": 0}]}
    assert call("DEL", prevResult=wrong) == {}
    assert state() == before


@pytest.mark.parametrize("own", ["/proc/self/ns/net", "/proc/1/ns/net"])
def test_3_the_nodes_own_namespace_is_refused_before_anything_is_touched(call: Call, own: str) -> None:
    before = state()
    assert call("ADD", netns=own)["code"] == 8
    assert state() == before


def test_4_two_networks_of_one_container_are_apart(call: Call) -> None:
    call("ADD", network="one", runtimeConfig={"portMappings": [PORT], "bandwidth": LIMITS})
    before = state()
    call("ADD", network="two", ifname="eth1", runtimeConfig={"portMappings": [{**PORT, "hostPort": 8086}], "bandwidth": LIMITS})
    call("DEL", network="two", ifname="eth1")
    assert state() == before


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"runtimeConfig": {"portMappings": [PORT]}}, 101),
        ({"runtimeConfig": {"bandwidth": {"ingressRate": 5}}}, 7),
        ({"runtimeConfig": {"ips": ["10.73.0.1/29"]}}, 7),
        ({"runtimeConfig": {"ips": ["192.168.0.1"]}}, 7),
        ({"runtimeConfig": {"ipRanges": [[{"subnet": "192.168.0.0/24"}]]}}, 7),
        ({"ipam": {"type": "no-such-plugin"}}, 103),
        ({"prevResult": {"cniVersion": "1.1.0", "ips": [{"address": "10.9.9.9/24"}]}}, 3),
    ],
    ids=["taken port", "impossible rate", "8: the gateway", "8: another network's", "8: another range", "no plugin", "no link"],
)
def test_5_an_add_that_fails_leaves_nothing(call: Call, pod: NetworkNamespace, fields: dict[str, Any], code: int) -> None:
    call("ADD", "holder", ifname="eth1", runtimeConfig={"portMappings": [PORT]})
    before, inside = state(), pod.links()
    assert call("ADD", **fields)["code"] == code
    assert (state(), pod.links()) == (before, inside)


def test_5_an_interface_that_is_there_is_an_error_and_stays(call: Call, pod: NetworkNamespace) -> None:
    pod.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other")
    before = state()
    assert call("ADD")["code"] == 101
    assert state() == before
    assert pod.links() == {"lo", "eth0", "other"}


@pytest.mark.parametrize("direction", ["ingressRate", "egressRate"])
def test_6_check_sees_a_limit_that_is_gone(call: Call, direction: str) -> None:
    result = call("ADD", runtimeConfig={"bandwidth": {direction: 10**7}})
    assert call("CHECK", prevResult=result) == {}
    for link in shown("link", "show"):
        if link["ifname"].startswith(("pwv", "pwi")):
            subprocess.run(["tc", "qdisc", "del", "dev", link["ifname"], "root"], check=False, capture_output=True)
    assert call("CHECK", prevResult=result)["code"] == 3


def test_6_status_says_when_no_address_is_left_and_the_next_add_fails_clearly(call: Call, tmp_path: Path) -> None:
    assert call("STATUS") == {}
    for number in range(5):
        assert "code" not in call("ADD", f"full{number}", ifname=f"net{number}")
    assert call("STATUS")["code"] == 50
    full = call("ADD")
    assert (full["code"], "no free address in 10.73.0.0/29" in full["msg"]) == (11, True)
    call("DEL", "full0", ifname="net0")
    assert call("STATUS") == {}


def test_6_status_says_when_the_bridge_is_down(call: Call, agent: RunningAgent) -> None:
    if agent.settings["PODWRIGHT_NETWORK__MODE"] != "bridge":
        assert call("STATUS") == {}, "there is no bridge to miss"
        return
    subprocess.run(["ip", "link", "set", "pw0", "down"], check=True)
    try:
        assert call("STATUS")["code"] == 51
    finally:
        agent.restart()
    assert call("STATUS") == {}


def test_6_gc_collects_what_is_not_listed_and_without_a_list_only_the_dead(call: Call, pod: NetworkNamespace) -> None:
    before = state()
    call("ADD")
    standing = state()
    call("GC")
    call("GC", **{"cni.dev/valid-attachments": [{"containerID": "c1", "ifname": "eth0"}]})
    call("GC", network="another", **{"cni.dev/valid-attachments": []})
    assert state() == standing
    call("GC", **{"cni.dev/valid-attachments": []})
    assert state() == before
    assert pod.links() == {"lo"}


def test_9_del_succeeds_whatever_became_of_the_rest(call: Call) -> None:
    broken = {"runtimeConfig": 7, "args": "x", "prevResult": [], "ipam": {"type": "../../sh"}}
    assert call("DEL", **broken) == {}
    assert call("DEL", "never-there", **broken) == {}


@pytest.mark.parametrize("path", ["/dev/null", "/etc/hostname", "/proc/1/ns/mnt", "/nowhere"])
def test_what_is_no_network_namespace_is_refused(call: Call, path: str) -> None:
    before = state()
    assert call("ADD", netns=path)["code"] in (7, 8)
    assert state() == before
