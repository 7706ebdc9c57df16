"""NetworkPolicy in force: real packets between pods, over both families, while policies, labels and pods change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.places import NODE_ADDRESS, Pod, eventually, make_pods, manifest
from tests.prober import NODE, Servers, ask
from tests.running import RunningAgent

pytestmark = [pytest.mark.kernel]


def policy(name: str, spec: str) -> str:
    return f"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}}}\nspec: {spec}"


def labelled(name: str, **labels: str) -> str:
    """A pod that serves port 80 under the names web-tcp and web-udp; b has host port 8080 too."""
    wanted = ", ".join(f"{key}: {value}" for key, value in labels.items())
    host_port = ", hostPort: 8080" if name == "b" else ""
    ports = (f"containerPort: 80, name: web-{each.lower()}, protocol: {each}{host_port}" for each in ("TCP", "UDP"))
    return manifest(name, *ports).replace(f"{{name: {name}}}", f"{{name: {name}, labels: {{{wanted}}}}}", 1)


@pytest.fixture(scope="module")
def pods(agent: RunningAgent) -> Iterator[dict[str, Pod]]:
    made = make_pods(agent, labelled("a", app="a"), labelled("b", app="b"), labelled("c", app="c"))
    with Servers() as servers:
        for pod in made:
            servers.listen(pod.place, pod.name, 80)
            servers.listen(pod.place, pod.name, 81)
        servers.listen(NODE, "node", 7000)
        yield {pod.name: pod for pod in made}


def reach(pods: dict[str, Pod], port: int = 80) -> set[str]:
    """Who reaches whom: "ab4" is a to b over IPv4."""
    return {
        f"{source}{target}{family}"
        for source in pods
        for target in pods
        for family in (4, 6)
        if source != target and ask(pods[source].place, "udp", pods[target].addresses[family], port, timeout_s=0.1)
    }


def everyone(*missing: str) -> set[str]:
    return {f"{s}{t}{f}" for s in "abc" for t in "abc" for f in (4, 6) if s != t} - {f"{pair}{f}" for pair in missing for f in (4, 6)}


DENY_B = policy("deny-b", "{podSelector: {matchLabels: {app: b}}}")
ALLOW_A = policy(
    "allow-a",
    """
  podSelector: {matchLabels: {app: b}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: a}}}]
    ports: [{port: web-udp, protocol: UDP}, {port: web-udp, protocol: TCP}]""",
)


def delete(agent: RunningAgent, *names: str) -> None:
    for name in names:
        agent.client.request("DELETE", f"/apis/networking.k8s.io/v1/namespaces/default/networkpolicies/{name}")


def test_policies_come_and_go(agent: RunningAgent, pods: dict[str, Pod]) -> None:
    assert reach(pods) == everyone()
    agent.apply(DENY_B)
    eventually(lambda: reach(pods) == everyone("ab", "cb"))
    for family in (4, 6):
        assert ask(NODE, "tcp", pods["b"].addresses[family], 80), "the node reaches its pods"
        assert not ask(pods["a"].place, "tcp", NODE_ADDRESS[family], 8080), "a host port is no way around"
        assert ask(pods["b"].place, "tcp", NODE_ADDRESS[family], 8080), "a pod reaches itself"
    agent.apply(ALLOW_A)
    eventually(lambda: reach(pods) == everyone("cb"))
    assert reach(pods, 81) == everyone("ab", "cb")
    delete(agent, "deny-b", "allow-a")
    eventually(lambda: reach(pods) == everyone())


def test_what_was_enforced_stays_when_the_agent_is_killed_and_started(agent: RunningAgent, pods: dict[str, Pod]) -> None:
    agent.apply(DENY_B)
    eventually(lambda: reach(pods) == everyone("ab", "cb"))
    agent.kill()
    assert reach(pods) == everyone("ab", "cb")
    agent.start()
    assert reach(pods) == everyone("ab", "cb")
    delete(agent, "deny-b")
    eventually(lambda: reach(pods) == everyone())


def test_a_relabelled_pod_is_judged_by_its_new_labels(agent: RunningAgent, pods: dict[str, Pod]) -> None:
    agent.apply(DENY_B + "\n---\n" + ALLOW_A)
    eventually(lambda: reach(pods) == everyone("cb"))
    agent.cli("label", "pod/c", "app=a", "--overwrite")
    eventually(lambda: reach(pods) == everyone())
    agent.cli("label", "pod/a", "app=b", "--overwrite")
    eventually(lambda: reach(pods) == everyone("ab", "ba"))
    agent.cli("label", "pod/a", "app=a", "--overwrite")
    agent.cli("label", "pod/c", "app=c", "--overwrite")
    eventually(lambda: reach(pods) == everyone("cb"))
    delete(agent, "deny-b", "allow-a")


def test_egress_towards_the_node_is_judged_and_neighbours_are_found(agent: RunningAgent, pods: dict[str, Pod]) -> None:
    agent.apply(policy("closed", "{podSelector: {matchLabels: {app: c}}, policyTypes: [Egress]}"))
    eventually(lambda: reach(pods) == everyone("ca", "cb"))
    for family in (4, 6):
        assert not ask(pods["c"].place, "udp", NODE_ADDRESS[family], 7000)
        assert ask(NODE, "udp", pods["c"].addresses[family], 80)
    delete(agent, "closed")
    eventually(lambda: reach(pods) == everyone())
    for family in (4, 6):
        assert ask(pods["c"].place, "udp", NODE_ADDRESS[family], 7000)
