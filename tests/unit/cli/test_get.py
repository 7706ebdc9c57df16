"""podwright get."""

from __future__ import annotations

import json

import pytest
import yaml
from msgspec import structs

from agent.api.client import Client
from agent.api.fake import FakeBackend
from agent.cli import table_watch
from agent.objects.meta import Condition, Key
from agent.objects.pod import Pod
from agent.objects.pod_status import PodPhase, PodStatus
from tests.unit.api.conftest import DEPLOYMENTS, PODS, deployment, pod
from tests.unit.cli.conftest import Later, Podwright


def set_status(backend: FakeBackend, name: str, status: PodStatus) -> None:
    stored = backend.store.get(Key("Pod", "default", name))
    assert isinstance(stored, Pod)
    backend.store.update(structs.replace(stored, status=status))


def test_a_pod_whose_sandbox_stands_is_sandboxed_and_not_running(podwright: Podwright, client: Client, backend: FakeBackend) -> None:
    client.create(PODS, pod("web-1"))
    conditions = (Condition(type="PodReadyToStartContainers", status="True"),)
    set_status(backend, "web-1", PodStatus(phase=PodPhase.PENDING, reason="NoContainerRuntime", conditions=conditions))
    assert podwright("get", "pods").rows == [["NAME", "READY", "STATUS", "RESTARTS", "AGE"], ["web-1", "0/1", "Sandboxed", "0", "5s"]]


def test_wide_shows_addresses_and_node(podwright: Podwright, client: Client) -> None:
    remote = pod("far")
    remote["spec"]["nodeName"] = "node-2"
    remote["status"] = {"phase": "Running", "podIPs": [{"ip": "10.74.0.9"}, {"ip": "fd74::9"}]}
    client.create(PODS, remote)
    assert podwright("get", "po", "-o", "wide").rows[1] == ["far", "0/1", "Running", "0", "5s", "10.74.0.9,fd74::9", "node-2"]


def test_two_kinds_are_two_tables_with_prefixed_names(podwright: Podwright, client: Client) -> None:
    client.create(PODS, pod("web-1"))
    client.create(DEPLOYMENTS, deployment("web", 2))
    assert podwright("get", "pods,deploy", "--no-headers").rows == [
        ["pod/web-1", "0/1", "Pending", "0", "5s"],
        [],
        ["deployment.apps/web", "0/2", "0", "0", "5s"],
    ]


def test_all_namespaces(podwright: Podwright, client: Client) -> None:
    client.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    client.create(PODS, pod("a"))
    client.create("/api/v1/namespaces/shop/pods", pod("b"))
    assert [row[:2] for row in podwright("get", "pods", "-A").rows] == [["NAMESPACE", "NAME"], ["default", "a"], ["shop", "b"]]
    assert [row[0] for row in podwright("get", "pods", "-n", "shop").rows] == ["NAME", "b"]


def test_columns_are_aligned(podwright: Podwright, client: Client) -> None:
    for name in ("a", "a-much-longer-name"):
        client.create(PODS, pod(name))
    header, *rows = podwright("get", "pods").out.splitlines()
    assert all(row[header.index("READY")] == "0" and row[header.index("READY") - 1] == " " for row in rows)


def test_names_for_scripts(podwright: Podwright, client: Client) -> None:
    client.create(DEPLOYMENTS, deployment("web"))
    assert podwright("get", "deploy", "-o", "name").out == "deployment.apps/web\n"


def test_yaml_and_json(podwright: Podwright, client: Client) -> None:
    created = client.create(PODS, pod("web-1"))
    assert yaml.safe_load(podwright("get", "pod", "web-1", "-o", "yaml").out) == created
    assert json.loads(podwright("get", "pod/web-1", "-o", "json").out) == created
    assert json.loads(podwright("get", "pods", "-o", "json").out)["items"] == [created]


def test_jsonpath(podwright: Podwright, client: Client) -> None:
    for name in ("a", "b"):
        client.create(PODS, pod(name, app=name))
    assert podwright("get", "pod", "a", "-o", "jsonpath={.spec.containers[0].image}").out == "nginx"
    template = '{range .items[*]}{.metadata.name}={.metadata.labels.app}{"\\n"}{end}'
    assert podwright("get", "pods", "-o", f"jsonpath={template}").out == "a=a\nb=b\n"


def test_selection_and_order(podwright: Podwright, client: Client) -> None:
    for name, tier in (("c", "x"), ("a", "x"), ("b", "y")):
        client.create(PODS, pod(name, tier=tier))
    assert podwright("get", "pods", "-l", "tier=x", "-o", "name").out == "pod/a\npod/c\n"
    assert [row[0] for row in podwright("get", "pods", "--sort-by", ".metadata.resourceVersion", "--no-headers").rows] == ["c", "a", "b"]
    assert podwright("get", "pods", "--field-selector", "metadata.name=b", "--show-labels").rows[1][-1] == "tier=y"


def test_what_is_missing_is_told_and_the_rest_is_shown(podwright: Podwright, client: Client) -> None:
    client.create(PODS, pod("a"))
    result = podwright("get", "pods", "a", "b")
    assert (result.status, [row[0] for row in result.rows]) == (1, ["NAME", "a"])
    assert result.err == "error: pod default/b does not exist\n"
    assert podwright("get", "pods", "b", "--ignore-not-found").status == 0


def test_nothing_found_is_no_error(podwright: Podwright) -> None:
    result = podwright("get", "pods")
    assert (result.status, result.out, result.err) == (0, "", "no pods found in namespace default\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["get", "pdos"], 'unknown kind "pdos", did you mean "pods"?'),
        (["get", "pods", "-o", "xml"], 'unknown output format "xml": use wide, yaml, json, name or jsonpath=TEMPLATE'),
        (["get", "pod/a", "web"], '"web" is not KIND/NAME, as the other arguments are'),
        (["get", "pods", "a", "-A"], "a name cannot be given together with --all-namespaces"),
        (["get"], "missing argument 'KIND[,KIND] [NAME]... | KIND/NAME...'"),
        (["get", "pod", "a", "-o", "jsonpath={.spec[}"], 'cannot read jsonpath ".spec[" from "[" on'),
    ],
)
def test_a_wrong_command_line_is_status_2(podwright: Podwright, client: Client, arguments: list[str], message: str) -> None:
    client.create(PODS, pod("a"))
    result = podwright(*arguments)
    assert (result.status, result.err) == (2, f"error: {message}\nhint: see podwright get --help\n")


def test_watching_shows_every_change(podwright: Podwright, client: Client, later: Later, monkeypatch: pytest.MonkeyPatch) -> None:
    client.create(PODS, pod("a"))
    shown: list[str] = []

    def stop_after_three(table: table_watch._Table, document: dict[str, object]) -> None:
        shown.append(" ".join(table._row(document)))
        if len(shown) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(table_watch._Table, "change", stop_after_three)

    def act(other: Client) -> None:
        other.create(PODS, pod("b"))
        other.patch(f"{PODS}/b", {"metadata": {"labels": {"x": "y"}}})
        other.delete(f"{PODS}/a")

    later(act)
    result = podwright("get", "pods", "-w", "--show-labels")
    assert (result.status, len(result.rows)) == (130, 2)
    assert shown == ["b 0/1 Pending 0 5s <none>", "b 0/1 Pending 0 5s x=y", "a 0/1 Pending 0 5s <none>"]
