"""Every command that changes or explains something."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from agent.api.client import Client
from agent.api.events import EventLog
from agent.api.fake import FakeBackend
from agent.api.wire import PodUsage
from agent.cli import delete
from agent.cli.targets import Found, Kinds
from agent.errors import DeadlineExceeded
from agent.objects.meta import Key
from tests.unit.api.conftest import DEPLOYMENTS, PODS, deployment, manifest, pod
from tests.unit.cli.conftest import Later, Podwright


@pytest.fixture
def web(tmp_path: Path) -> str:
    file = tmp_path / "web.yaml"
    file.write_bytes(manifest(deployment("web", 2), pod("alone")))
    return str(file)


def test_apply_says_what_became_of_each(podwright: Podwright, web: str) -> None:
    assert podwright("apply", "-f", web).out == "deployment.apps/web created\npod/alone created\n"
    assert podwright("apply", "-f", web).out == "deployment.apps/web unchanged\npod/alone unchanged\n"


def test_apply_a_directory_and_standard_input(podwright: Podwright, tmp_path: Path, web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "README.md").write_text("not a manifest")
    assert podwright("apply", "-f", str(tmp_path)).status == 0
    with (tmp_path / "in").open("wb+") as stdin:
        stdin.write(manifest(pod("piped")))
        stdin.seek(0)
        monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": stdin})())
        assert podwright("apply", "-f", "-").out == "pod/piped created\n"


def test_apply_tells_every_problem_and_changes_nothing(podwright: Podwright, tmp_path: Path, client: Client) -> None:
    wrong = deployment("web")
    wrong["spec"]["replcas"] = 3
    wrong["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x"
    (tmp_path / "wrong.yaml").write_bytes(manifest(pod("fine"), wrong))
    result = podwright("apply", "-f", str(tmp_path / "wrong.yaml"))
    assert result.status == 1
    assert result.err.startswith(f"error: {tmp_path}/wrong.yaml: ")
    assert 'spec.replcas: unknown field, did you mean "replicas"?' in result.err
    assert 'imagee: unknown field, did you mean "image"?' in result.err
    assert client.get(PODS)["items"] == []


def test_apply_warns_of_what_has_no_effect(podwright: Podwright, tmp_path: Path) -> None:
    service = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "web"}, "spec": {"limits": []}}
    (tmp_path / "s.yaml").write_bytes(manifest(service))
    result = podwright("apply", "-f", str(tmp_path / "s.yaml"))
    assert result.err == "warning: limitrange/web: kind LimitRange is stored but nothing acts on it yet\n"
    assert (result.status, result.out) == (0, "limitrange/web created\n")


def test_apply_a_file_that_is_not_there(podwright: Podwright) -> None:
    result = podwright("apply", "-f", "/nowhere/web.yaml")
    assert (result.status, result.err) == (1, "error: cannot read /nowhere/web.yaml: no such file or directory\n")


def test_a_dry_run_changes_nothing(podwright: Podwright, web: str, client: Client) -> None:
    assert podwright("apply", "-f", web, "--dry-run=server").out.startswith("deployment.apps/web created (dry run)\n")
    assert client.get(DEPLOYMENTS)["items"] == []


def test_delete_by_name_label_and_manifest(podwright: Podwright, web: str, client: Client) -> None:
    podwright("apply", "-f", web)
    for name in ("a", "b"):
        client.create(PODS, pod(name, tier="x"))
    assert podwright("delete", "pod/alone").out == "pod/alone deleted\n"
    assert podwright("delete", "pods", "-l", "tier=x").out == "pod/a deleted\npod/b deleted\n"
    result = podwright("delete", "-f", web)
    assert (result.status, result.out, result.err) == (1, "deployment.apps/web deleted\n", "error: pod/alone does not exist\n")
    assert podwright("delete", "-f", web, "--ignore-not-found").status == 0


def test_delete_without_saying_which_is_refused(podwright: Podwright, client: Client) -> None:
    client.create(PODS, pod("a"))
    assert podwright("delete", "pods").status == 2
    assert podwright("delete").status == 2
    assert len(client.get(PODS)["items"]) == 1
    assert podwright("delete", "pods", "--all").out == "pod/a deleted\n"


def test_delete_waits_until_it_is_gone(podwright: Podwright, client: Client, later: Later) -> None:
    client.create(PODS, {**pod(), "metadata": {"name": "held", "finalizers": ["example.org/hold"]}})
    result = podwright("delete", "pod", "held", "--timeout", "0.3s")
    assert (result.status, result.err) == (1, "error: timed out waiting for pod/held to be gone\n")
    let_go = {"metadata": {"finalizers": None}}
    later(lambda other: other.patch(f"{PODS}/held", let_go))
    assert podwright("delete", "pod", "held", "--timeout", "5s").status == 0


def test_a_new_object_under_the_name_means_that_the_old_one_is_gone(client: Client) -> None:
    now = client.create(PODS, pod("again"))
    kind = Kinds.of(client).named("pod")
    before = {"metadata": {**now["metadata"], "uid": "the-old-one"}}
    delete._wait(client, [Found(kind, before)], timeout_s=0.2)
    with pytest.raises(DeadlineExceeded):
        delete._wait(client, [Found(kind, now)], timeout_s=0.2)


def test_scale(podwright: Podwright, client: Client) -> None:
    client.create(DEPLOYMENTS, deployment("web", 2))
    assert podwright("scale", "deploy/web", "--replicas=5").out == "deployment.apps/web scaled from 2 to 5\n"
    result = podwright("scale", "deploy/web", "--replicas=1", "--current-replicas=2")
    assert (result.status, result.err) == (1, "error: cannot scale deployment.apps/web: 5 replicas are wanted now, not 2\n")
    assert podwright("scale", "deploy/web", "--replicas=-1").status == 2


@pytest.mark.parametrize(("command", "field", "verb"), [("label", "labels", "labeled"), ("annotate", "annotations", "annotated")])
def test_label_and_annotate(podwright: Podwright, client: Client, command: str, field: str, verb: str) -> None:
    client.create(PODS, pod("a"))
    assert podwright(command, "pod", "a", "tier=front", "team=x").out == f"pod/a {verb}\n"
    assert podwright(command, "pod", "a", "team-").status == 0
    assert client.get(f"{PODS}/a")["metadata"][field] == {"tier": "front"}
    refused = podwright(command, "pod", "a", "tier=back")
    assert refused.err == "error: pod/a has tier=front already\nhint: give --overwrite to replace it\n"
    assert podwright(command, "pod", "a", "tier=back", "--overwrite").status == 0
    assert client.get(f"{PODS}/a")["metadata"][field] == {"tier": "back"}
    assert podwright(command, "pod", "a").status == 2


@pytest.mark.parametrize(
    "goal", ["condition=Ready", "condition=ready=true", "jsonpath={.status.podIPs[0].ip}", "jsonpath={.status.podIPs[*].ip}=10.74.0.9"]
)
def test_wait_for_what_comes_later(podwright: Podwright, client: Client, later: Later, goal: str) -> None:
    remote = pod("far")
    remote["spec"]["nodeName"] = "node-2"
    client.create(PODS, remote)
    status = {"podIPs": [{"ip": "10.74.0.9"}], "conditions": [{"type": "Ready", "status": "True"}]}
    later(lambda other: other.patch(f"{PODS}/far", {"status": status}))
    assert podwright("wait", "pod/far", f"--for={goal}", "--timeout=5s").out == "pod/far condition met\n"


def test_wait_in_vain(podwright: Podwright, client: Client) -> None:
    client.create(PODS, pod("a"))
    result = podwright("wait", "pod/a", "--for=condition=Ready", "--timeout=0.2s")
    assert (result.status, result.err) == (1, "error: timed out waiting for pod/a to be Ready=True\n")
    assert podwright("wait", "pod/a", "--for=happiness").status == 2
    assert podwright("wait", "pod/absent", "--for=condition=Ready").status == 1


def test_wait_for_deletion(podwright: Podwright, client: Client, later: Later) -> None:
    client.create(PODS, pod("a"))
    later(lambda other: other.delete(f"{PODS}/a"))
    assert podwright("wait", "pod/a", "--for=delete", "--timeout=5s").out == "pod/a deleted\n"
    assert podwright("wait", "pod/a", "--for=delete").status == 0


def test_rollout(podwright: Podwright, client: Client) -> None:
    client.create(DEPLOYMENTS, deployment("web", 2))
    assert podwright("rollout", "status", "deploy/web", "--no-watch").out == "waiting for the controller to see the newest web\n"
    assert podwright("rollout", "restart", "deploy/web").out == "deployment.apps/web restarted\n"
    template = client.get(f"{DEPLOYMENTS}/web")["spec"]["template"]
    assert template["metadata"]["annotations"]["podwright.io/restarted-at"]
    assert podwright("rollout", "status", "pod/web").status == 2


def test_describe_with_events(podwright: Podwright, client: Client, backend: FakeBackend) -> None:
    client.create(PODS, pod("a", app="web"))
    stored = backend.store.get(Key("Pod", "default", "a"))
    EventLog(backend.store).record(stored, "Warning", "NoAddress", "no free address in 10.4.1.0/24")
    lines = podwright("describe", "pod", "a").out.splitlines()
    assert "Labels:     app=web" in lines
    assert "    - name: main" in lines
    assert lines[-2].split() == ["AGE", "TYPE", "REASON", "COUNT", "MESSAGE"]
    assert lines[-1].split(maxsplit=4)[1:] == ["Warning", "NoAddress", "1", "no free address in 10.4.1.0/24"]


def test_events(podwright: Podwright, client: Client, backend: FakeBackend) -> None:
    log = EventLog(backend.store)
    for name in ("a", "b"):
        client.create(PODS, pod(name))
        log.record(backend.store.get(Key("Pod", "default", name)), "Normal", "Attached", f"{name} has 10.4.1.9")
    backend.store.delete(Key("Event", "", "none"))  # writes are in order: the events' are done when this is
    assert [row[1:] for row in podwright("events").rows] == [
        ["SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"],
        ["Normal", "Attached", "pod/a", "a", "has", "10.4.1.9"],
        ["Normal", "Attached", "pod/b", "b", "has", "10.4.1.9"],
    ]
    assert len(podwright("events", "--for", "pod/b").rows) == 2
    assert podwright("events", "--types=Warning").err == "no events\n"


def test_top(podwright: Podwright, backend: FakeBackend) -> None:
    backend.usage = (
        PodUsage(namespace="default", name="small", cpu_millicores=1, memory_bytes=1 << 20),
        PodUsage(namespace="default", name="large", cpu_millicores=900, memory_bytes=300 << 20),
    )
    assert podwright("top", "node").rows[1] == ["node-1", "250m", "12%", "1024Mi", "25%"]
    assert podwright("top", "pods", "--sort-by=memory").rows[1:] == [["large", "900m", "300Mi"], ["small", "1m", "1Mi"]]


def test_status_and_version(podwright: Podwright) -> None:
    assert podwright("status").out == "AGENT\n  node  node-1\n\nNETWORK\n  mode  bridge\n"
    assert json.loads(podwright("status", "-o", "json").out)["network"] == {"mode": "bridge"}
    assert podwright("version").out.splitlines()[1].startswith("agent    ")


def test_export_leaves_out_what_is_this_stores(podwright: Podwright, client: Client, tmp_path: Path) -> None:
    remote = pod("far", app="web")
    remote["spec"]["nodeName"] = "node-2"
    remote["status"] = {"podIPs": [{"ip": "10.74.0.9"}]}
    client.apply(manifest(remote))
    text = podwright("export", "pods").out
    (item,) = yaml.safe_load(text)["items"]
    assert item["metadata"] == {"name": "far", "namespace": "default", "labels": {"app": "web"}}
    assert item["status"]["podIPs"] == [{"ip": "10.74.0.9"}]
    (tmp_path / "pods.yaml").write_text(text)
    podwright("delete", "pod", "far")
    assert podwright("apply", "-f", str(tmp_path / "pods.yaml")).out == "pod/far created\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(podwright: Podwright, shell: str) -> None:
    assert "_PODWRIGHT_COMPLETE" in podwright("completion", shell).out
