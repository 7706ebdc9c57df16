"""Objects by Kubernetes' paths, with the real client against a live server."""

from __future__ import annotations

import json

import pytest
from msgspec import structs

from agent.api.client import Client
from agent.api.fake import FakeBackend
from agent.errors import AlreadyExists, CallerError, Conflict, Forbidden, InvalidObject, NotFound
from agent.objects.attachment import Attachment
from agent.objects.decode import Decoded
from agent.objects.meta import Key, ObjectMeta
from agent.objects.namespace import Namespace
from agent.objects.pod import Pod
from agent.objects.pod_status import PodPhase, PodStatus
from tests.unit.api.conftest import DEPLOYMENTS, PODS, deployment, pod


def test_create_and_read_back(client: Client) -> None:
    created = client.create(PODS, pod("web-1", app="web"))
    assert created == client.get(f"{PODS}/web-1")
    assert created["metadata"]["namespace"] == "default"
    assert created["metadata"]["uid"]
    assert [item["metadata"]["name"] for item in client.get("/api/v1/pods")["items"]] == ["web-1"]


def test_what_is_stored_without_effect_comes_back_as_a_warning(client: Client) -> None:
    body = pod()
    body["spec"]["containers"][0]["livenessProbe"] = {"tcpSocket": {"port": 80}}
    reply = client.request("POST", PODS, body=json.dumps(body).encode())
    assert reply.warnings == ("spec.containers[0].livenessProbe is stored but not enforced",)


def test_a_warning_keeps_its_letters(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'path C:\\x "quoted", naïve …'
    monkeypatch.setattr("agent.api.resources.decode", lambda *_, **__: [Decoded(Namespace(metadata=ObjectMeta(name="n")), (text,))])
    assert client.request("POST", "/api/v1/namespaces", body=b"{}").warnings == (text,)


def test_creating_twice_is_refused(client: Client) -> None:
    client.create(PODS, pod())
    with pytest.raises(AlreadyExists):
        client.create(PODS, pod())


def test_a_misspelt_field_is_refused_with_its_path(client: Client) -> None:
    body = pod()
    body["spec"]["containers"][0]["imagePullPolicyy"] = "Always"
    with pytest.raises(InvalidObject) as refusal:
        client.create(PODS, body)
    assert refusal.value.problems[0].startswith("spec.containers[0].imagePullPolicyy")
    assert client.get(PODS)["items"] == []


def test_a_body_of_another_kind_or_namespace_is_refused(client: Client) -> None:
    with pytest.raises(InvalidObject, match="the path is that of deployments"):
        client.create(DEPLOYMENTS, pod())
    with pytest.raises(InvalidObject, match="the path is that of pods in default"):
        client.create(PODS, {**pod(), "metadata": {"name": "web-1", "namespace": "other"}})


def test_labels_and_fields_select(client: Client) -> None:
    for name, tier in (("a", "front"), ("b", "back"), ("c", "back")):
        client.create(PODS, pod(name, tier=tier))

    def names(**query: str) -> list[str]:
        return [item["metadata"]["name"] for item in client.get(PODS, query)["items"]]

    assert names(labelSelector="tier=back") == ["b", "c"]
    assert names(labelSelector="tier in (front,back),tier!=front") == ["b", "c"]
    assert names(fieldSelector="metadata.name=a") == ["a"]
    assert names(labelSelector="tier=back", fieldSelector="metadata.name!=b") == ["c"]
    with pytest.raises(InvalidObject, match=r"Pod has metadata.name, metadata.namespace, spec.nodeName, status.phase"):
        names(fieldSelector="spec.colour=red")


def test_a_patch_changes_only_what_it_names(client: Client) -> None:
    client.create(PODS, pod("web-1", app="web", tier="front"))
    patched = client.patch(f"{PODS}/web-1", {"metadata": {"labels": {"tier": None, "new": "yes"}}})
    assert patched["metadata"]["labels"] == {"app": "web", "new": "yes"}
    assert patched["spec"] == client.get(f"{PODS}/web-1")["spec"]


def test_a_patch_with_a_stale_version_is_refused(client: Client) -> None:
    first = client.create(PODS, pod())
    client.patch(f"{PODS}/web-1", {"metadata": {"labels": {"a": "1"}}})
    stale = {"metadata": {"labels": {"a": "2"}, "resourceVersion": first["metadata"]["resourceVersion"]}}
    with pytest.raises(Conflict):
        client.patch(f"{PODS}/web-1", stale)


def test_a_patch_cannot_rename(client: Client) -> None:
    client.create(PODS, pod())
    with pytest.raises(InvalidObject, match="cannot be changed"):
        client.patch(f"{PODS}/web-1", {"metadata": {"name": "web-2"}})


def test_other_patch_formats_are_refused_by_name(client: Client) -> None:
    client.create(PODS, pod())
    with pytest.raises(CallerError, match=r"application/json-patch\+json"):
        client.request("PATCH", f"{PODS}/web-1", body=b"[]", content_type="application/json-patch+json")


def test_replace_is_optimistic(client: Client) -> None:
    first = client.create(DEPLOYMENTS, deployment())
    first["spec"]["replicas"] = 5
    second = client.replace(f"{DEPLOYMENTS}/web", first)
    assert second["spec"]["replicas"] == 5
    assert second["metadata"]["generation"] == 2
    with pytest.raises(Conflict):
        client.replace(f"{DEPLOYMENTS}/web", first)


def test_status_is_the_agents(client: Client, backend: FakeBackend) -> None:
    lie = {**pod(), "status": {"phase": "Running"}}
    assert "status" not in client.create(PODS, lie)
    stored = backend.store.get(Key("Pod", "default", "web-1"))
    assert isinstance(stored, Pod)
    backend.store.update(structs.replace(stored, status=PodStatus(phase=PodPhase.PENDING)))
    patched = client.patch(f"{PODS}/web-1", {"status": {"phase": "Running"}, "metadata": {"labels": {"a": "b"}}})
    assert patched["status"] == {"phase": "Pending"}


def test_a_pod_of_another_node_keeps_the_status_it_brings(client: Client) -> None:
    remote = pod("far")
    remote["spec"]["nodeName"] = "node-2"
    remote["status"] = {"phase": "Pending", "podIPs": [{"ip": "10.74.0.9"}]}
    assert client.create(PODS, remote)["status"] == remote["status"]
    moved = client.patch(f"{PODS}/far", {"status": {"podIPs": [{"ip": "10.74.0.10"}]}})
    assert moved["status"]["podIPs"] == [{"ip": "10.74.0.10"}]


def test_deleting_waits_for_finalizers(client: Client) -> None:
    client.create(PODS, {**pod(), "metadata": {"name": "web-1", "finalizers": ["example.org/hold"]}})
    held = client.delete(f"{PODS}/web-1", {"gracePeriodSeconds": "7"})
    assert held["metadata"]["deletionTimestamp"]
    assert held["metadata"]["deletionGracePeriodSeconds"] == 7
    client.patch(f"{PODS}/web-1", {"metadata": {"finalizers": None}})
    with pytest.raises(NotFound):
        client.get(f"{PODS}/web-1")


def test_a_pods_own_grace_period_is_the_default(client: Client) -> None:
    body = {**pod(), "metadata": {"name": "web-1", "finalizers": ["example.org/hold"]}}
    body["spec"]["terminationGracePeriodSeconds"] = 3
    client.create(PODS, body)
    assert client.delete(f"{PODS}/web-1")["metadata"]["deletionGracePeriodSeconds"] == 3


def test_deleting_with_preconditions(client: Client) -> None:
    uid = client.create(PODS, pod())["metadata"]["uid"]
    with pytest.raises(Conflict, match=f"its uid is {uid}"):
        client.delete(f"{PODS}/web-1", options={"preconditions": {"uid": "other"}})
    client.delete(f"{PODS}/web-1", options={"preconditions": {"uid": uid}})
    assert client.get(PODS)["items"] == []


def test_deleting_a_selection(client: Client) -> None:
    for name, tier in (("a", "front"), ("b", "back")):
        client.create(PODS, pod(name, tier=tier))
    client.delete(PODS, {"labelSelector": "tier=back"})
    assert [item["metadata"]["name"] for item in client.get(PODS)["items"]] == ["a"]


def test_scale(client: Client) -> None:
    client.create(DEPLOYMENTS, deployment(replicas=2))
    assert client.get(f"{DEPLOYMENTS}/web/scale")["spec"] == {"replicas": 2}
    scaled = client.patch(f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 7}})
    assert scaled["spec"] == {"replicas": 7}
    assert scaled["status"]["selector"] == "app=web"
    assert client.get(f"{DEPLOYMENTS}/web")["spec"]["replicas"] == 7
    with pytest.raises(InvalidObject, match=r"spec\.replicas"):
        client.patch(f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": -1}})
    stale = {"spec": {"replicas": 1}, "metadata": {"resourceVersion": "1"}}
    with pytest.raises(Conflict):
        client.replace(f"{DEPLOYMENTS}/web/scale", stale)


@pytest.mark.parametrize("method", ["create", "patch", "delete"])
def test_a_dry_run_stores_nothing(client: Client, method: str) -> None:
    before = client.create(PODS, pod("there", a="1"))
    if method == "create":
        client.create(PODS, pod("new"), {"dryRun": "All"})
    elif method == "patch":
        client.patch(f"{PODS}/there", {"metadata": {"labels": {"a": "2"}}}, {"dryRun": "All"})
    else:
        client.delete(f"{PODS}/there", {"dryRun": "All"})
    assert client.get(PODS)["items"] == [before]


def test_the_agents_own_records_can_be_read_and_not_changed(client: Client, backend: FakeBackend) -> None:
    backend.store.create(Attachment(metadata=ObjectMeta(name="0123"), network="podwright"))
    path = "/apis/podwright.io/v1/attachments"
    assert [item["network"] for item in client.get(path)["items"]] == ["podwright"]
    with pytest.raises(Forbidden):
        client.delete(f"{path}/0123")


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/api/v1/wombats", "/apis/apps/v1/pods", "/api/v1/pods/web-1", "/api/v1/namespaces/default/nodes", f"{PODS}/absent"],
)
def test_what_does_not_exist_is_not_found(client: Client, path: str) -> None:
    with pytest.raises(NotFound):
        client.get(path)


def test_the_wrong_method_names_the_right_ones(client: Client) -> None:
    with pytest.raises(CallerError, match="takes DELETE, POST, not PUT"):
        client.replace("/apply", {})


def test_admission_can_refuse(client: Client) -> None:
    with pytest.raises(NotFound, match="namespace shop does not exist") as refusal:
        client.create("/api/v1/namespaces/shop/pods", pod())
    assert refusal.value.hint == "apply a Namespace shop first"
