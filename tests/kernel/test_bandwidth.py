"""Bandwidth limits, measured: TCP through the real datapath, both modes, both families, both directions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fresh import shell
from tests.places import NODE_ADDRESS, Pod, eventually, make_pods, new_namespace, run
from tests.prober import NODE
from tests.running import RunningAgent
from tests.streams import Stream, measured, stream

pytestmark = [pytest.mark.kernel, pytest.mark.needs("tc", "ip")]

INGRESS = "kubernetes.io/ingress-bandwidth"
PRECISION = 0.15
FREE = 500
"""Mbit/s that an unlimited pod gets on any machine: more than twice the highest limit here."""


def manifest(name: str, **limits: str) -> str:
    annotations = {f"kubernetes.io/{direction}-bandwidth": rate for direction, rate in limits.items()}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"containers": [{"name": "main", "image": "example/main:1"}]},
        }
    )


@pytest.fixture(scope="module")
def pods(agent: RunningAgent) -> dict[str, Pod]:
    """`a` receives slowly and sends fast, `b` the other way round, `free` and `changing` have no limit."""
    manifests = [
        manifest("a", ingress="20M", egress="200M"),
        manifest("b", ingress="200M", egress="20M"),
        manifest("free"),
        manifest("changing"),
    ]
    found = make_pods(agent, *manifests)
    return {pod.name: pod for pod in found}


family = pytest.mark.parametrize("family", [4, 6])


# One direction at a time: acknowledgements share the other direction's limit with whatever fills it.
@family
def test_towards_each_pod(pods: dict[str, Pod], family: int) -> None:
    rates = measured(*((NODE, pods[name].place, pods[name].addresses[family]) for name in "ab"))
    assert rates == pytest.approx([20, 200], rel=PRECISION)


@family
def test_from_each_pod(pods: dict[str, Pod], family: int) -> None:
    rates = measured(*((pods[name].place, NODE, NODE_ADDRESS[family]) for name in "ab"))
    assert rates == pytest.approx([200, 20], rel=PRECISION)


@family
def test_between_two_limited_pods_the_lower_limit_counts(pods: dict[str, Pod], family: int) -> None:
    a, b = pods["a"], pods["b"]
    assert measured((a.place, b.place, b.addresses[family])) == pytest.approx([200], rel=PRECISION)
    assert measured((b.place, a.place, a.addresses[family])) == pytest.approx([20], rel=PRECISION)


@family
def test_a_neighbour_without_limit_is_not_slowed_by_a_limited_pod_at_its_limit(pods: dict[str, Pod], family: int) -> None:
    a, free = pods["a"], pods["free"]
    to_a, to_free = (NODE, a.place, a.addresses[family]), (NODE, free.place, free.addresses[family])
    held, towards_free, from_free = measured(to_a, to_free, (free.place, NODE, NODE_ADDRESS[family]))
    assert held < 20 * (1 + PRECISION)
    assert min(towards_free, from_free) > FREE


def shaper(pod: Pod) -> str:
    return pod.host_link.replace("pwv", "pwi")


def shaping_links() -> list[str]:
    return [word.split("@")[0] for word in shell("ip -br link show type ifb").split() if word.startswith("pwi")]


def test_each_limited_sender_has_a_shaping_link_that_names_it(pods: dict[str, Pod]) -> None:
    assert sorted(shaping_links()) == sorted(shaper(pods[name]) for name in "ab")
    for name in "ab":
        found = json.loads(shell(f"ip -j -d link show {shaper(pods[name])}"))[0]
        assert found["ifalias"].endswith(f"pod default/{name}")
        assert found["mtu"] == 1500


def annotate(agent: RunningAgent, pod: str, direction: str, rate: str) -> None:
    """An empty rate takes the limit away."""
    key = f"kubernetes.io/{direction}-bandwidth"
    agent.cli("annotate", "pod", pod, f"{key}={rate}" if rate else f"{key}-", "--overwrite")


def towards(pod: Pod) -> str:
    return shell(f"tc qdisc show dev {pod.host_link}")


def sent_by(pod: Pod) -> str:
    return shell(f"tc qdisc show dev {shaper(pod)}", check=False)


def settles_at(running: Stream, rate: float) -> bool:
    """What was in flight when the limit changed takes its time."""
    return eventually(lambda: running.megabits_per_second(0.6) == pytest.approx(rate, rel=PRECISION))


def test_limits_follow_the_annotations_of_a_living_pod(agent: RunningAgent, pods: dict[str, Pod]) -> None:
    pod = pods["changing"]
    with stream(pod.place, NODE, NODE_ADDRESS[4]) as living:
        annotate(agent, "changing", "ingress", "30M")
        annotate(agent, "changing", "egress", "50M")
        eventually(lambda: "rate 30Mbit" in towards(pod) and "rate 50Mbit" in sent_by(pod))
        assert settles_at(living, 50)
        annotate(agent, "changing", "egress", "100M")
        eventually(lambda: "rate 100Mbit" in sent_by(pod))
        assert settles_at(living, 100)
        annotate(agent, "changing", "ingress", "")
        annotate(agent, "changing", "egress", "")
        eventually(lambda: "tbf" not in towards(pod) and shaper(pod) not in shaping_links())
        assert eventually(lambda: living.megabits_per_second(0.3) > FREE)


def test_a_limit_that_cannot_be_is_refused_and_nothing_changes(agent: RunningAgent, pods: dict[str, Pod]) -> None:
    before = towards(pods["a"])
    answer = agent.cli("annotate", "pod", "a", f"{INGRESS}=999", "--overwrite", check=False)
    assert "999 bit/s is out of range, write 1k to 1P" in answer
    assert towards(pods["a"]) == before


def test_a_restarted_agent_puts_back_what_is_missing_and_removes_what_is_nobodys(agent: RunningAgent, pods: dict[str, Pod]) -> None:
    a, free = pods["a"], pods["free"]
    agent.kill()
    shell(f"tc qdisc del dev {a.host_link} root && ip link del {shaper(a)}")
    shell(f"tc qdisc replace dev {free.host_link} root tbf rate 1mbit burst 20k latency 25ms")
    shell("ip link add pwidead00000000 type ifb")
    agent.start()
    assert "rate 20Mbit" in towards(a)
    assert "rate 200Mbit" in sent_by(a)
    assert "tbf" not in towards(free)
    assert "pwidead00000000" not in shaping_links()
    assert measured((a.place, NODE, NODE_ADDRESS[4])) == pytest.approx([200], rel=PRECISION)


def test_a_pod_that_is_built_again_has_its_limits_again(agent: RunningAgent, pods: dict[str, Pod]) -> None:
    """Its host veth went while no agent ran; the shaping link is nobody's end and stayed."""
    pod = pods["changing"]
    annotate(agent, "changing", "egress", "60M")
    eventually(lambda: "rate 60Mbit" in sent_by(pod))
    before = shell(f"ip link show {shaper(pod)}")
    agent.kill()
    shell(f"ip link del {pod.host_link}")
    agent.start()
    eventually(lambda: "rate 60Mbit" in sent_by(pod) and shell(f"ip link show {shaper(pod)}") != before)
    assert measured((pod.place, NODE, NODE_ADDRESS[4])) == pytest.approx([60], rel=PRECISION)


def test_a_deleted_pod_leaves_no_shaping_link_and_no_rule(agent: RunningAgent, pods: dict[str, Pod]) -> None:
    agent.cli("delete", "pod", "b")
    assert shaper(pods["b"]) not in shaping_links()
    assert shaper(pods["b"]) not in shell("nft list table netdev podwright")


def cni(agent: RunningAgent, command: str, place: Path, *, before: object = None, **bandwidth: int) -> dict[str, Any]:
    """One CNI verb as the shim forwards it; its result, empty where it has none."""
    environment = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": str(place),
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/opt/cni/bin",
    }
    config: dict[str, object] = {"cniVersion": "1.1.0", "name": "podwright", "type": "podwright", "runtimeConfig": {"bandwidth": bandwidth}}
    if before:
        config["prevResult"] = before
    packed = "".join(f"{name}={value}\0" for name, value in environment.items()) + "\0" + json.dumps(config)
    answer = agent.client.request("POST", "/cni", body=packed.encode()).body
    found: dict[str, Any] = json.loads(answer) if answer else {}
    return found


def test_a_runtimes_limits_by_the_cni_capability(agent: RunningAgent) -> None:
    """The burst is what runtimes fill in that know a rate only."""
    links = set(shaping_links())
    with new_namespace() as place:
        wanted = {"ingressRate": 20_000_000, "ingressBurst": 2**31 - 1, "egressRate": 50_000_000, "egressBurst": 2**31 - 1}
        result = cni(agent, "ADD", place, **wanted)
        host_link = result["interfaces"][-2]["name"]
        pod = Pod("c1", place, {}, host_link)
        assert "rate 20Mbit burst 62500b" in towards(pod)
        assert measured((place, NODE, NODE_ADDRESS[4])) == pytest.approx([50], rel=PRECISION)
        assert cni(agent, "CHECK", place, before=result) == {}
        shell(f"tc qdisc del dev {host_link} root")
        assert "ingress bandwidth limit of container c1 (eth0) is gone" in cni(agent, "CHECK", place, before=result)["msg"]
        assert cni(agent, "DEL", place) == {}
    assert set(shaping_links()) == links


def test_a_runtimes_wrong_limit_is_refused_before_anything_is_done(agent: RunningAgent) -> None:
    with new_namespace() as place:
        refused = cni(agent, "ADD", place, ingressRate=10)
        assert (refused["code"], "bandwidth.ingressRate: 10 bit/s is out of range" in refused["msg"]) == (7, True)
        assert "eth0" not in run(place, "ip -br link")
