"""The reference plugins as judges: the same calls to both sides must give the same answers and the same network.

What differs on purpose is written in sides.neutral. CHECK: the reference also misses routes that the result names; a later
plugin of the list may have moved them, so ours looks at links and addresses.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.prober import Servers, ask
from tests.runtime import go_tools, sides
from tests.runtime.chain import DEBIAN, Call, Config, Refused
from tests.runtime.network_namespace import NetworkNamespace
from tests.runtime.sides import Side, neutral

pytestmark = [pytest.mark.kernel, pytest.mark.needs("/usr/lib/cni/bridge", "/usr/sbin/xtables-nft-multi")]
VERSIONS = ("0.2.0", "0.3.1", "0.4.0", "1.0.0")
NEWEST = ("1.1.0",)
Pair = tuple[Side, Side]


@pytest.fixture(scope="module", params=["Debian's", go_tools.PLUGINS_VERSION])
def sides_(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    is_newer = request.param == go_tools.PLUGINS_VERSION
    try:
        plugins = go_tools.plugins() if is_newer else DEBIAN
    except RuntimeError as error:
        pytest.skip(f"reference plugins {request.param} are missing: {error}")
    versions = VERSIONS + NEWEST if is_newer else VERSIONS
    with ExitStack() as stack:
        mine = stack.enter_context(sides.ours(tmp_path_factory.mktemp("ours"), "bridge", versions))
        theirs = sides.reference(tmp_path_factory.mktemp("peer"), plugins, "nftables" if is_newer else "iptables", versions)
        yield mine, stack.enter_context(theirs)


@pytest.fixture
def on_both(sides_: Pair, tmp_path: Path) -> Iterator[Callable[..., tuple[Any, Any]]]:
    """Do the same on both sides, each with a new namespace of the same name; what was left attached is deleted."""
    with ExitStack() as stack:
        numbers = itertools.count(1)

        def on_both(act: Callable[[Side, NetworkNamespace], Any]) -> tuple[Any, Any]:
            number = next(numbers)
            found = []
            for side in sides_:
                (tmp_path / side.name).mkdir(exist_ok=True)
                pod = stack.enter_context(NetworkNamespace.made(tmp_path / side.name / f"pod-{number}"))
                stack.callback(clean, side, pod)
                found.append(act(side, pod))
            return found[0], found[1]

        yield on_both


def clean(side: Side, pod: NetworkNamespace) -> None:
    """Whatever a test that failed has left attached."""
    for container, ifname in itertools.product(("c1", "c2", "c3"), ("eth0", "eth1")):
        chain_of(side).delete(Call(container, pod.path if pod.path.exists() else "", ifname=ifname))


def chain_of(side: Side, version: str = "1.0.0") -> Any:
    return side.chains[version]


def refused(act: Callable[[], object]) -> bool:
    try:
        act()
    except Refused:
        return True
    return False


def pod_state(pod: NetworkNamespace) -> dict[str, Any]:
    """What a program in the pod can tell, apart from the prefix of its addresses."""
    links = json.loads(pod.run("ip", "-j", "link"))
    routes = [route for family in ("-4", "-6") for route in json.loads(pod.run("ip", "-j", family, "route", "show", "default") or "[]")]
    return {
        "links": {link["ifname"]: ("UP" in link["flags"], link["mtu"]) for link in links},
        "addresses": pod.addresses("eth0"),
        "default": {route["gateway"]: route["dev"] for route in routes},
        "forwarding": pod.run("sysctl", "-n", "net.ipv4.ip_forward"),
    }


@pytest.mark.parametrize("version", VERSIONS + NEWEST)
def test_results_have_the_same_shape_in_every_version(sides_: Pair, on_both: Callable[..., Any], version: str) -> None:
    if version not in sides_[1].chains:
        pytest.skip(f"Debian's plugins do not know {version}")

    def life(side: Side, pod: NetworkNamespace) -> Config:
        call = Call("c1", pod.path, {"ips": ["10.73.1.7/20", "fd73:7077:7269::107/64"]})
        result = chain_of(side, version).add(call)
        chain_of(side, version).delete(call, result)
        return neutral(result, pod)

    mine, theirs = on_both(life)
    assert mine == theirs


def test_a_pod_sees_the_same_network(on_both: Callable[..., Any]) -> None:
    def life(side: Side, pod: NetworkNamespace) -> tuple[Any, ...]:
        call = Call("c1", pod.path, {"ips": ["10.73.1.7/20", "fd73:7077:7269::107/64"]})
        result = chain_of(side).add(call)
        chain_of(side).check(call, result)
        before = pod_state(pod)
        for address in side.addresses.values():
            pod.ping(address)
        pod.ping("198.51.100.1")
        chain_of(side).delete(call, result)
        return before, pod.links()

    mine, theirs = on_both(life)
    assert mine == theirs
    assert mine[0]["default"] == {"10.73.0.1": "eth0", "fd73:7077:7269::1": "eth0"}


def test_host_ports_are_heard_by_the_same(on_both: Callable[..., Any]) -> None:
    """TCP and UDP, and nothing on a port that was asked for another protocol; refused again after DEL."""

    def life(side: Side, pod: NetworkNamespace) -> tuple[Any, Any]:
        mappings = [
            {"hostPort": 8101, "containerPort": sides.PORT, "protocol": "tcp"},
            {"hostPort": 8102, "containerPort": sides.PORT, "protocol": "udp"},
        ]
        call = Call("c1", pod.path, {"portMappings": mappings})
        result = chain_of(side).add(call)
        heard = side.host_ports(pod, 8101, 8102)
        chain_of(side).delete(call, result)
        return heard, side.host_ports(pod, 8101, 8102)

    mine, theirs = on_both(life)
    assert {key: who for key, who in mine[0].items() if theirs[0][key] != who} == {}
    assert mine == theirs
    assert {who for key, who in mine[0].items() if key[1:] in {(8101, "tcp"), (8102, "udp")}} == {"pod"}
    assert set(mine[1].values()) == {"nobody"}


def test_a_host_ip_opens_that_address_alone(on_both: Callable[..., Any]) -> None:
    def life(side: Side, pod: NetworkNamespace) -> Any:
        mapping = {"hostPort": 8103, "containerPort": sides.PORT, "protocol": "tcp", "hostIP": side.addresses[4]}
        call = Call("c1", pod.path, {"portMappings": [mapping]})
        result = chain_of(side).add(call)
        heard = side.host_ports(pod, 8103)
        chain_of(side).delete(call, result)
        return heard

    mine, theirs = on_both(life)
    assert mine == theirs
    assert mine["outside IPv4", 8103, "tcp"] == "pod"
    assert mine["outside IPv6", 8103, "tcp"] == "nobody"


def test_pods_reach_each_other(on_both: Callable[..., Any], tmp_path: Path) -> None:
    def life(side: Side, pod: NetworkNamespace) -> Any:
        with NetworkNamespace.made(tmp_path / f"{side.name} second") as second, Servers() as servers:
            calls = [Call("c1", pod.path), Call("c2", second.path)]
            results = [chain_of(side).add(call) for call in calls]
            servers.listen(second.path, "second", sides.PORT)
            addresses = [ip["address"].partition("/")[0] for ip in results[1]["ips"]]
            heard = [answered.name for address in addresses if (answered := ask(pod.path, "tcp", address, sides.PORT))]
            for call, result in zip(calls, results, strict=True):
                chain_of(side).delete(call, result)
            return heard

    mine, theirs = on_both(life)
    assert mine == theirs == ["second", "second"]


MISTAKES: dict[str, Callable[[Side, NetworkNamespace], Call]] = {
    "the gateway's address": lambda _, pod: Call("c1", pod.path, {"ips": ["10.73.0.1/20"]}),
    "an address of no range": lambda _, pod: Call("c1", pod.path, {"ips": ["192.168.7.7/24"]}),
    "text for an address": lambda _, pod: Call("c1", pod.path, {"ips": ["ten"]}),
    "no namespace": lambda _, pod: Call("c1", f"{pod.path}-not"),
    "a file that is no namespace": lambda _, pod: Call("c1", pod.path.parent),
    "no container": lambda _, pod: Call("", pod.path),
    "an interface name too long": lambda _, pod: Call("c1", pod.path, ifname="sixteen-letters-"),
    "a path for an interface name": lambda _, pod: Call("c1", pod.path, ifname="../eth0"),
    "unknown arguments": lambda _, pod: Call("c1", pod.path, args="COLOUR=blue"),
    "a MAC that is none": lambda _, pod: Call("c1", pod.path, {"mac": "zz"}),
    "the node's own namespace": lambda side, _: Call("c1", side.place),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_same_mistakes_are_refused(on_both: Callable[..., Any], mistake: str) -> None:
    def life(side: Side, pod: NetworkNamespace) -> Any:
        call = MISTAKES[mistake](side, pod)
        return refused(lambda: chain_of(side).add(call)), pod.links()

    mine, theirs = on_both(life)
    assert mine == (True, {"lo"})
    assert theirs[0] is True


def test_what_an_add_meets(on_both: Callable[..., Any]) -> None:
    """The same container twice, another's address, an interface that is there: refused; what was there stays."""

    def life(side: Side, pod: NetworkNamespace) -> Any:
        call = Call("c1", pod.path, {"ips": ["10.73.1.9/20"]})
        result = chain_of(side).add(call)
        again = refused(lambda: chain_of(side).add(call))
        taken = refused(lambda: chain_of(side).add(Call("c2", pod.path, {"ips": ["10.73.1.9/20"]}, ifname="eth1")))
        there = refused(lambda: chain_of(side).add(Call("c3", pod.path)))
        left = pod.links(), pod.addresses("eth0")
        for container, ifname in (("c1", "eth0"), ("c2", "eth1"), ("c3", "eth0")):
            chain_of(side).delete(Call(container, pod.path, ifname=ifname), result if container == "c1" else None)
        return again, taken, there, left, pod.links()

    mine, theirs = on_both(life)
    assert mine == (True, True, True, ({"lo", "eth0"}, {"10.73.1.9"}), {"lo"})
    assert mine[:3] == theirs[:3]


def test_del_forgives(on_both: Callable[..., Any]) -> None:
    """Twice, without an ADD, without its result, without a namespace, of a namespace that has gone."""

    def life(side: Side, pod: NetworkNamespace) -> Any:
        call, nowhere = Call("c1", pod.path), Call("c1", "")
        chain_of(side).delete(call)
        result = chain_of(side).add(call)
        chain_of(side).delete(call, result)
        chain_of(side).delete(call, result)
        chain_of(side).add(call)
        chain_of(side).delete(nowhere)
        pod.delete()
        return refused(lambda: chain_of(side).delete(call))

    assert on_both(life) == (False, False)


@pytest.mark.parametrize("damage", ["ip address flush dev eth0 scope global", "ip link delete eth0"])
def test_check_sees_the_same_damage(on_both: Callable[..., Any], damage: str) -> None:
    def life(side: Side, pod: NetworkNamespace) -> Any:
        call = Call("c1", pod.path)
        result = chain_of(side).add(call)
        sound = refused(lambda: chain_of(side).check(call, result))
        pod.run(*damage.split())
        found = refused(lambda: chain_of(side).check(call, result))
        chain_of(side).delete(call, result)
        return sound, found

    assert on_both(life) == ((False, True), (False, True))
