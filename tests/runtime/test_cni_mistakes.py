"""What implementers of the specification get wrong, on real namespaces: each as it should be. (Rules about fields and
environment are tests/unit/cni's; the numbers are those of the list in the design notes.)
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cni import spec
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


@pytest.mark.parametrize("wait_ms", [0, 2, 4, 6, 8, 12])
def test_a_namespace_that_vanishes_in_the_middle_leaves_nothing(call: Call, pod: NetworkNamespace, wait_ms: int) -> None:
    before = state()
    told: list[dict[str, Any]] = []
    adding = threading.Thread(target=lambda: told.append(call("ADD", runtimeConfig={"portMappings": [PORT]})))
    adding.start()
    time.sleep(wait_ms / 1e3)
    subprocess.run(["umount", "--lazy", pod.path], check=True)  # the agent may hold it open
    pod.path.unlink()
    adding.join(30)
    assert "ips" in told[0] or told[0]["code"] in (3, 7, 8, 100), told
    call("DEL")
    assert state() == before


def test_status_says_when_the_agent_runs_out_of_descriptors(call: Call, agent: RunningAgent) -> None:
    soft, hard = resource.prlimit(agent.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{agent.pid}/fd")) + 40, hard))
    try:
        status = call("STATUS")
        assert (status["code"], "file descriptors" in status["msg"]) == (50, True)
    finally:
        resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert call("STATUS") == {}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = st.dictionaries(
    st.sampled_from(["runtimeConfig", "args", "dns", "ipam", "prevResult", "labels", "type", "name", "cniVersion"]),
    _JSON
    | st.fixed_dictionaries(
        {},
        optional={
            "portMappings": st.lists(st.fixed_dictionaries({"hostPort": st.integers(-1, 70000), "containerPort": _JSON}), max_size=2),
            "bandwidth": st.dictionaries(st.sampled_from(["ingressRate", "egressBurst"]), st.integers(-5, 10**18), max_size=2),
            "ips": st.lists(st.sampled_from(["10.73.0.3", "10.73.0.1/29", "::1", "", "x"]), max_size=2),
            "mac": st.sampled_from(["02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff", "../x"]),
            "type": st.sampled_from(["host-local", "../../bin/sh", "\0", "static"]),
            "cni": _JSON,
        },
    ),
    min_size=1,
    max_size=4,
)


def test_whatever_is_asked_for_the_answer_has_a_shape_and_nothing_is_left(call: Call, pod: NetworkNamespace) -> None:
    before, inside = state(), pod.links()

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(_FIELDS, st.sampled_from(["eth0", "../x", "a" * 16, "lo", "eth0\n"]), st.sampled_from(["c1", "../etc", "", "é"]))
    def ask(fields: dict[str, Any], ifname: str, container: str) -> None:
        answer = call("ADD", container, ifname=ifname, **({"network": "pods"} | fields_without_name(fields)))
        if "code" in answer:
            assert answer["msg"]
            assert answer["code"] != 100 or "kernel refused" in answer["msg"], answer
            assert answer["cniVersion"] in spec.SUPPORTED
        call("DEL", container, ifname=ifname)

    ask()
    assert (state(), pod.links()) == (before, inside)


def fields_without_name(fields: dict[str, Any]) -> dict[str, Any]:
    """Each ADD of the test is of the network that its DEL names."""
    return {key: value for key, value in fields.items() if key not in ("name", "cniVersion")}
