"""A pod's life on a running agent: built, reported, entered, ended."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.running import PATIENCE, RunningAgent

pytestmark = pytest.mark.kernel

POD = "/api/v1/namespaces/default/pods"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    running = RunningAgent(Path(tmp_path_factory.mktemp("pods")))
    running.start()
    yield running
    running.clear()


def eventually(is_so: Callable[[], object], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def pod(name: str, *, spec: str = "", container: str = "") -> str:
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec: {{containers: [{{name: main, image: none:1 {container}}}] {spec}}}
"""


def built(agent: RunningAgent, name: str) -> dict:
    def is_ready() -> bool:
        return condition(agent, name, "PodReadyToStartContainers") == "True"

    eventually(is_ready)
    return agent.client.get(f"{POD}/{name}")


def condition(agent: RunningAgent, name: str, kind: str) -> str | None:
    conditions = agent.client.get(f"{POD}/{name}").get("status", {}).get("conditions", ())
    return next((c["status"] for c in conditions if c["type"] == kind), None)


def message(agent: RunningAgent, name: str) -> str:
    return agent.client.get(f"{POD}/{name}").get("status", {}).get("message", "")


def links() -> list[str]:
    return [name for name in os.listdir("/sys/class/net") if name.startswith("pwv")]


def gone(agent: RunningAgent, name: str) -> None:
    agent.cli("delete", "pod", name, "--wait")
    assert name not in agent.cli("get", "pods", "-o", "name")


def test_the_status_is_honest_about_containers(agent):
    agent.apply(pod("honest"))
    status = built(agent, "honest")["status"]
    assert (status["phase"], status["reason"]) == ("Pending", "NoContainerRuntime")
    assert condition(agent, "honest", "PodScheduled") == "True"
    assert condition(agent, "honest", "Ready") == "False"
    gone(agent, "honest")


def test_a_pod_is_bound_to_this_node(agent):
    agent.apply(pod("bound"))
    assert built(agent, "bound")["spec"]["nodeName"] == agent.client.get("/api/v1/nodes")["items"][0]["metadata"]["name"]
    gone(agent, "bound")


def test_a_pod_that_does_not_fit_waits_and_says_why_and_is_built_when_there_is_room(agent):
    cpus = os.cpu_count() or 1
    agent.apply(pod("big", container=f", resources: {{requests: {{cpu: {cpus}}}}}"))
    built(agent, "big")
    agent.apply(pod("late", container=", resources: {requests: {cpu: 500m}}"))
    eventually(lambda: agent.client.get(f"{POD}/late").get("status", {}).get("reason") == "Unschedulable")
    assert "insufficient cpu: requests 0.5, free 0 of" in message(agent, "late")
    gone(agent, "big")
    built(agent, "late")
    gone(agent, "late")


def test_deleting_a_pod_ends_its_processes_politely_first(agent, tmp_path):
    agent.apply(pod("polite", spec=", terminationGracePeriodSeconds: 5"))
    uid = built(agent, "polite")["metadata"]["uid"]
    script = "import signal, time; signal.signal(15, lambda *_: exit(print('bye', flush=True))); print('up', flush=True); time.sleep(60)"
    agent.cli("exec", "--detach", "polite", "--", "python3", "-c", script)
    log = agent.state_dir / "pods" / uid / "logs" / "exec-main.log"
    eventually(lambda: log.exists() and "up" in log.read_text())
    said = log.open()  # the file goes with the pod, what was written stays readable
    gone(agent, "polite")
    assert "bye" in said.read()
    said.close()


def test_a_process_that_ignores_term_is_killed_after_the_grace_period(agent):
    agent.apply(pod("stubborn", spec=", terminationGracePeriodSeconds: 1"))
    built(agent, "stubborn")
    agent.cli(
        "exec", "--detach", "stubborn", "--", "python3", "-c", "import signal,time\nsignal.signal(15, signal.SIG_IGN)\ntime.sleep(60)"
    )
    start = time.monotonic()
    gone(agent, "stubborn")
    assert 0.9 < time.monotonic() - start < 5 * PATIENCE


def test_a_host_network_pod_has_the_nodes_addresses_and_no_link_of_its_own(agent):
    agent.apply(pod("host", spec=", hostNetwork: true"))
    found = built(agent, "host")
    assert found["status"]["podIP"] == "192.0.2.11"
    assert "uplink" in agent.cli("exec", "host", "--", "ip", "-br", "link")
    gone(agent, "host")


def test_a_pod_of_another_node_is_never_started_but_its_addresses_are_kept(agent):
    agent.apply(pod("far", spec=", nodeName: node-9") + "status: {podIPs: [{ip: 10.9.9.9}], podIP: 10.9.9.9}")
    time.sleep(0.3)
    found = agent.client.get(f"{POD}/far")
    assert found["status"]["podIPs"] == [{"ip": "10.9.9.9"}]
    assert not (agent.run_dir / "ns" / found["metadata"]["uid"]).exists()
    gone(agent, "far")


def test_a_second_host_port_of_the_same_number_names_its_owner(agent):
    port = ", ports: [{containerPort: 80, hostPort: 9191}]"
    agent.apply(pod("first", container=port))
    built(agent, "first")
    agent.apply(pod("second", container=port))
    eventually(lambda: "hostPort 9191/TCP is held by pod default/first" in message(agent, "second"))
    gone(agent, "first")
    built(agent, "second")
    gone(agent, "second")


def test_names_inside_a_pod(agent):
    aliases = ", hostAliases: [{ip: 192.0.2.99, hostnames: [db, db.example]}], hostname: front, subdomain: web"
    agent.apply(pod("named", spec=aliases))
    address = built(agent, "named")["status"]["podIP"]
    assert agent.cli("exec", "named", "--", "hostname").strip() == "front"
    hosts = agent.cli("exec", "named", "--", "cat", "/etc/hosts")
    assert "192.0.2.99\tdb db.example" in hosts
    assert f"{address}\tfront.web.default.svc.cluster.local front" in hosts
    gone(agent, "named")


def test_the_mode_is_kept_while_pods_exist(agent):
    """Changing network.mode under living pods would leave half of each."""
    agent.apply(pod("stays"))
    built(agent, "stays")
    agent.stop()
    agent.start({"PODWRIGHT_NETWORK__MODE": "routed"})
    assert agent.json("status")["network"]["mode"] == "bridge"
    assert "kept until they are gone" in agent.tail(400)
    gone(agent, "stays")
    agent.restart()


def test_a_pod_whose_link_was_deleted_comes_back_with_its_address_at_the_next_start(agent):
    agent.apply(pod("cut"))
    found = built(agent, "cut")
    agent.stop()
    (link,) = links()
    os.system(f"ip link del {link}")
    agent.start()
    eventually(links)
    assert built(agent, "cut")["status"]["podIPs"] == found["status"]["podIPs"]
    eventually(lambda: os.system(f"ping -c1 -W1 -q {found['status']['podIP']} >/dev/null") == 0)
    gone(agent, "cut")


def test_a_pods_kernel_settings_are_its_own(agent):
    names = ["net.core.somaxconn", "net.ipv4.conf.eth0.rp_filter", "kernel.shmmni", "kernel.sem", "fs.mqueue.msg_max"]
    before = [Path("/proc/sys", name.replace(".", "/")).read_text() for name in names if "eth0" not in name]
    values = ["77", "2", "99", "250 32000 32 99", "11"]
    settings = ", ".join(f"{{name: {name}, value: '{value}'}}" for name, value in zip(names, values, strict=True))
    agent.apply(pod("tuned", spec=f", securityContext: {{sysctls: [{settings}]}}"))
    built(agent, "tuned")
    paths = [f"/proc/sys/{name.replace('.', '/')}" for name in names]
    seen = agent.cli("exec", "tuned", "--", "cat", *paths).splitlines()
    assert [line.split() for line in seen] == [value.split() for value in values]
    assert [Path("/proc/sys", name.replace(".", "/")).read_text() for name in names if "eth0" not in name] == before
    gone(agent, "tuned")


def test_a_setting_that_the_kernel_refuses_is_told(agent):
    agent.apply(pod("odd", spec=", securityContext: {sysctls: [{name: net.core.no_such_thing, value: '1'}]}"))
    eventually(lambda: "sysctl -w net/core/no_such_thing=1" in message(agent, "odd"))
    gone(agent, "odd")


def test_host_pid_and_host_ipc_share_the_nodes(agent):
    agent.apply(pod("open", spec=", hostPID: true, hostIPC: true") + "---" + pod("closed"))
    built(agent, "open")
    built(agent, "closed")
    look = ("sh", "-c", "readlink /proc/self/ns/pid /proc/self/ns/ipc; stat -f -c %i /dev/shm")
    node = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", "ipc")]
    seen = agent.cli("exec", "open", "--", *look).split()
    assert seen[:2] == node
    assert not set(node) & set(agent.cli("exec", "closed", "--", *look).split())
    assert agent.cli("exec", "open", "--", "test", "-d", f"/proc/{os.getpid()}") == ""
    Path("/dev/shm/podwright-test").touch()
    assert agent.cli("exec", "open", "--", "rm", "-v", "/dev/shm/podwright-test") == "removed '/dev/shm/podwright-test'\n"
    gone(agent, "open")
    gone(agent, "closed")


def test_a_host_pid_program_ends_with_its_exec_and_with_its_pod(agent):
    agent.apply(pod("open", spec=", hostPID: true"))
    built(agent, "open")
    number = agent.cli("exec", "--detach", "open", "--", "sleep", "61").strip()
    assert Path(f"/proc/{number}").exists()
    gone(agent, "open")
    eventually(lambda: not Path(f"/proc/{number}").exists())
