"""Manifests in, and what becomes of each object."""

from __future__ import annotations

from typing import Any

import pytest

from agent.api.client import Client
from agent.api.fake import FakeBackend
from agent.errors import Forbidden, InvalidObject
from agent.objects.meta import Object
from tests.unit.api.conftest import DEPLOYMENTS, PODS, deployment, manifest, pod


def results(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(item["name"], item["result"]) for item in answer["items"]]


def test_created_then_unchanged_then_configured(client: Client) -> None:
    assert results(client.apply(manifest(pod("a"), deployment("b", 1)))) == [("a", "created"), ("b", "created")]
    assert results(client.apply(manifest(pod("a"), deployment("b", 1)))) == [("a", "unchanged"), ("b", "unchanged")]
    assert results(client.apply(manifest(pod("a"), deployment("b", 3)))) == [("a", "unchanged"), ("b", "configured")]
    assert client.get(f"{DEPLOYMENTS}/b")["spec"]["replicas"] == 3


def test_one_wrong_document_stores_nothing(client: Client) -> None:
    wrong = pod("bad")
    wrong["spec"]["containerz"] = []
    with pytest.raises(InvalidObject) as refusal:
        client.apply(manifest(pod("good"), wrong), {"source": "web.yaml"})
    assert "web.yaml" in refusal.value.message
    assert any("containerz" in problem and "containers" in problem for problem in refusal.value.problems)
    assert client.get(PODS)["items"] == []


def test_an_object_the_node_refuses_does_not_stop_the_others(client: Client, backend: FakeBackend) -> None:
    def refuse(new: Object) -> None:
        if new.metadata.name == "b":
            raise Forbidden("cannot take b: no more room")

    backend.refuse = refuse
    answer = client.apply(manifest(pod("a"), pod("b"), pod("c")))
    assert results(answer) == [("a", "created"), ("b", "failed"), ("c", "created")]
    assert answer["items"][1]["error"]["message"] == "cannot take b: no more room"
    assert client.request("POST", "/apply", body=manifest(pod("b"))).status == 207


def test_what_others_set_stays_and_what_the_manifest_drops_goes(client: Client) -> None:
    client.apply(manifest(pod("a", app="web", tier="front")))
    client.patch(f"{PODS}/a", {"metadata": {"labels": {"by-hand": "yes"}}})
    client.apply(manifest(pod("a", app="web")))
    assert client.get(f"{PODS}/a")["metadata"]["labels"] == {"app": "web", "by-hand": "yes"}


def test_replicas_scaled_by_hand_stay_when_the_manifest_does_not_name_them(client: Client) -> None:
    without = deployment("web")
    del without["spec"]["replicas"]
    client.apply(manifest(without))
    client.patch(f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 9}})
    assert results(client.apply(manifest(without))) == [("web", "unchanged")]
    assert client.get(f"{DEPLOYMENTS}/web")["spec"]["replicas"] == 9


def test_finalizers_and_uid_survive(client: Client) -> None:
    created = client.create(PODS, {**pod(), "metadata": {"name": "web-1", "finalizers": ["example.org/hold"]}})
    client.apply(manifest(pod("web-1", app="web")))
    now = client.get(f"{PODS}/web-1")["metadata"]
    assert (now["finalizers"], now["uid"], now["labels"]) == (["example.org/hold"], created["metadata"]["uid"], {"app": "web"})


def test_an_object_that_is_being_deleted_is_not_revived(client: Client) -> None:
    client.create(PODS, {**pod(), "metadata": {"name": "web-1", "finalizers": ["example.org/hold"]}})
    client.delete(f"{PODS}/web-1")
    (item,) = client.apply(manifest(pod()))["items"]
    assert item["result"] == "failed"
    assert "is being deleted" in item["error"]["message"]


def test_exported_pods_become_remote_endpoints(client: Client) -> None:
    remote = pod("far")
    remote["spec"]["nodeName"] = "node-2"
    remote["status"] = {"podIPs": [{"ip": "10.74.0.9"}]}
    client.apply(manifest(remote))
    remote["status"] = {"podIPs": [{"ip": "10.74.0.10"}]}
    assert results(client.apply(manifest(remote))) == [("far", "configured")]
    assert client.get(f"{PODS}/far")["status"]["podIPs"] == [{"ip": "10.74.0.10"}]


def test_the_default_namespace_is_the_callers(client: Client) -> None:
    client.apply(manifest({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}, pod("a")), {"namespace": "shop"})
    assert client.get("/api/v1/namespaces/shop/pods/a")["metadata"]["namespace"] == "shop"


def test_a_dry_run_says_what_would_happen(client: Client) -> None:
    client.apply(manifest(pod("a")))
    dry = {"dryRun": "All"}
    assert results(client.apply(manifest(pod("a", app="web"), pod("b")), dry)) == [("a", "configured"), ("b", "created")]
    assert results(client.delete_manifest(manifest(pod("a")), dry)) == [("a", "deleted")]
    assert [item["metadata"]["name"] for item in client.get(PODS)["items"]] == ["a"]
    assert "labels" not in client.get(f"{PODS}/a")["metadata"]


def test_deleting_by_manifest_goes_backwards(client: Client) -> None:
    both = manifest(pod("a"), pod("b"))
    client.apply(both)
    assert results(client.delete_manifest(both)) == [("b", "deleted"), ("a", "deleted")]
    assert results(client.delete_manifest(both)) == [("b", "absent"), ("a", "absent")]


def test_warnings_travel_with_their_object(client: Client) -> None:
    (item,) = client.apply(manifest({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "c"}, "spec": {}}))["items"]
    assert item["result"] == "created"
    assert item["warnings"] == ["kind LimitRange is stored but nothing acts on it yet"]


@pytest.mark.parametrize("body", [b"", b"# nothing\n", b"\xff\xfe", b"{", b"- a\n- b\n"])
def test_what_is_no_manifest_is_refused(client: Client, body: bytes) -> None:
    with pytest.raises(InvalidObject):
        client.apply(body)


def test_a_damaged_record_of_the_last_apply_removes_nothing(client: Client) -> None:
    client.apply(manifest(pod("a", app="web", tier="front")))
    client.patch(f"{PODS}/a", {"metadata": {"annotations": {"podwright.io/last-applied": "{broken"}}})
    client.apply(manifest(pod("a", app="web")))
    assert client.get(f"{PODS}/a")["metadata"]["labels"] == {"app": "web", "tier": "front"}
