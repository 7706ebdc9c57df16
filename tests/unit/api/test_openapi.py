"""openapi.json is what the code says, is valid OpenAPI, and a live server keeps to it, operation by operation."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

from agent.api import openapi
from agent.api.client import Client, Reply
from agent.api.failure import to_status
from agent.api.fake import FakeBackend
from agent.api.wire import PodUsage
from agent.errors import PodwrightError
from agent.objects.attachment import Attachment
from agent.objects.meta import Key, Object, ObjectMeta
from agent.objects.storage import StoragePool, StorageSnapshot, StorageVolume
from tests.unit.api.conftest import deployment, pod

DESCRIPTION: dict[str, Any] = json.loads(openapi.FILE.read_text(encoding="utf-8"))
ON_DISK = ("/pools", "/volumes", "/snapshots", "/storage/")
"""Their answers are judged where there are loop devices: by csi-sanity."""
OPERATIONS = [(method, path) for path, methods in DESCRIPTION["paths"].items() for method in methods if not path.startswith(ON_DISK)]


def calico(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": {"name": "sample"}, "spec": spec}


SAMPLES: dict[str, dict[str, Any]] = {
    "namespaces": {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sample"}},
    "pods": pod("sample"),
    "nodes": {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "sample"}},
    "deployments": deployment("sample"),
    "secrets": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "sample"}, "data": {"a": "Yg=="}},
    "configmaps": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "sample"}, "data": {"a": "b"}},
    "priorityclasses": {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "sample"}, "value": 1},
    "ingresses": {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "sample"}, "spec": {}},
    "persistentvolumeclaims": {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "sample"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    },
    "persistentvolumes": {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "sample"},
        "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/srv"}},
    },
    "storageclasses": {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "sample"},
        "provisioner": "csi.podwright.io",
    },
    "volumeattributesclasses": {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "VolumeAttributesClass",
        "metadata": {"name": "sample"},
        "driverName": "csi.podwright.io",
    },
    "statefulsets": {**deployment("sample"), "kind": "StatefulSet"},
    "replicationcontrollers": {
        "apiVersion": "v1",
        "kind": "ReplicationController",
        "metadata": {"name": "sample"},
        "spec": {"replicas": 1},
    },
    "networkpolicies": {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "sample"},
        "spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}]},
    },
    "clusternetworkpolicies": {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": "sample"},
        "spec": {"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}},
    },
    "networkpolicies.projectcalico.org": calico("NetworkPolicy", {"selector": "all()", "ingress": [{"action": "Allow"}]}),
    "globalnetworkpolicies": calico("GlobalNetworkPolicy", {"selector": "all()"}),
    "tiers": calico("Tier", {"order": 10}),
    "networksets": calico("NetworkSet", {"nets": ["192.0.2.0/24"]}),
    "globalnetworksets": calico("GlobalNetworkSet", {"nets": ["2001:db8::/32"]}),
    "profiles": calico("Profile", {"labelsToApply": {"a": "b"}}),
}
"""One object of every kind whose paths the description spells out, and some for its patterns."""

QUERIES = {"/policy/explain": {"from": "192.0.2.1", "to": "192.0.2.2"}, "/policy/pods": {"policy": "networkpolicy/sample"}}
"""What some operations must be asked."""


_SAMPLE = ObjectMeta(name="sample")
OURS: dict[str, Object] = {
    "attachments": Attachment(metadata=_SAMPLE, network="podwright"),
    "storagepools": StoragePool(metadata=_SAMPLE, directory="/srv/pool"),
    "storagevolumes": StorageVolume(metadata=_SAMPLE, name="data", pool="default", size_bytes=1 << 20),
    "storagesnapshots": StorageSnapshot(metadata=_SAMPLE, name="morning", pool="default", source_volume="vol-1", size_bytes=1 << 20),
}
"""The agent's own records, which no client makes."""


def test_the_committed_file_is_what_the_code_says() -> None:
    assert openapi.FILE.read_text(encoding="utf-8") == openapi.text(), "run: python -m agent.api.openapi"


def test_it_is_valid_openapi() -> None:
    validate(DESCRIPTION)


def test_the_server_serves_it(client: Client) -> None:
    assert client.get("/openapi.json") == DESCRIPTION


def plural_for(path: str) -> str:
    """The kind whose objects a path is tried with; patterns stand for several."""
    if "{plural}" not in path:
        words = [word for word in path.split("/") if word and not word.startswith("{") and word not in ("scale", "exec", "apis", "api")]
        return ".".join((words[-1], words[0])) if ".".join((words[-1], words[0])) in SAMPLES else words[-1]
    if path.endswith("/scale"):
        return "replicationcontrollers" if path.startswith("/api/") else "statefulsets"
    if path.startswith("/api/"):
        return "configmaps" if "{namespace}" in path or "{name}" not in path else "nodes"
    return "ingresses" if "{namespace}" in path or "{name}" not in path else "priorityclasses"


def concrete(path: str) -> tuple[str, str]:
    """A path of the description with its placeholders filled in, and the plural in it."""
    plural = plural_for(path)
    group, _, version = SAMPLES.get(plural, {"apiVersion": "v1"})["apiVersion"].rpartition("/")
    values = {"plural": plural, "group": group, "version": version, "namespace": "default", "name": "sample"}
    return re.sub(r"{(\w+)}", lambda found: values[found[1]], path), plural


def body_for(operation: dict[str, Any], plural: str) -> tuple[bytes, str]:
    content = operation.get("requestBody", {}).get("content", {})
    if not content:
        return b"", "application/json"
    ((content_type, media),) = content.items()
    name = media["schema"]["$ref"].rpartition("/")[2]
    sample = SAMPLES.get(plural, {})
    bodies: dict[str, Any] = {
        "Patch": {"spec": {"replicas": 3}}
        if plural in ("deployments", "statefulsets", "replicationcontrollers")
        else {"metadata": {"labels": {"a": "b"}}},
        "Scale": {"spec": {"replicas": 2}},
        "ExecRequest": {"command": ["true"]},
        "DeleteOptions": {"gracePeriodSeconds": 0},
        "Manifest": SAMPLES["pods"],
        "CniRequest": {"any": "thing"},
    }
    return json.dumps(bodies.get(name) or sample).encode(), content_type


def check(method: str, path: str, reply: Reply | PodwrightError) -> None:
    """The answer is one that the description promises."""
    responses = DESCRIPTION["paths"][path][method]["responses"]
    status, body = (reply.http_status, to_status(reply)) if isinstance(reply, PodwrightError) else (reply.status, None)
    response = responses.get(str(status), DESCRIPTION["components"]["responses"]["Failure"])
    ((content_type, media),) = response["content"].items()
    if isinstance(reply, Reply):
        body = json.loads(reply.body) if content_type == "application/json" else reply.body.decode()
    jsonschema.validate(body, {**media["schema"], "components": DESCRIPTION["components"]})


def prepare(backend: FakeBackend, client: Client, method: str, path: str, plural: str) -> None:
    """The object that the operation is about is there, unless it is to be created."""
    backend.usage = (PodUsage(namespace="default", name="sample", cpu_millicores=1, memory_bytes=2),)
    if plural in OURS:
        backend.store.create(OURS[plural])
    elif path == "/policy/pods":
        client.apply(json.dumps(SAMPLES["networkpolicies"]).encode())
    elif plural in SAMPLES and not (method == "post" and not path.endswith("/exec")):
        client.apply(json.dumps(SAMPLES[plural]).encode())


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_a_live_server_answers_as_described(backend: FakeBackend, client: Client, method: str, path: str) -> None:
    url, plural = concrete(path)
    prepare(backend, client, method, path, plural)
    body, content_type = body_for(DESCRIPTION["paths"][path][method], plural)
    reply = client.request(method.upper(), url, QUERIES.get(path), body=body, content_type=content_type)
    assert str(reply.status) in DESCRIPTION["paths"][path][method]["responses"]
    check(method, path, reply)


@pytest.mark.parametrize(("method", "path"), [(method, path) for method, path in OPERATIONS if "{name}" in path])
def test_failures_are_as_described_too(client: Client, method: str, path: str) -> None:
    url, plural = concrete(path)
    body, content_type = body_for(DESCRIPTION["paths"][path][method], plural)
    with pytest.raises(PodwrightError) as failure:
        client.request(method.upper(), url.replace("sample", "absent"), body=body.replace(b"sample", b"absent"), content_type=content_type)
    assert failure.value.http_status == 404
    check(method, path, failure.value)


def test_a_watch_sends_what_is_described(client: Client) -> None:
    client.apply(json.dumps(SAMPLES["pods"]).encode())
    schema = {"$ref": "#/components/schemas/WatchEvent", "components": DESCRIPTION["components"]}
    lines = client.request("GET", "/api/v1/pods", {"watch": "1", "timeoutSeconds": "1"}).body.splitlines()
    assert len(lines) == 1
    for line in lines:
        jsonschema.validate(json.loads(line), schema)


def test_the_checker_can_fail(backend: FakeBackend) -> None:
    with pytest.raises(jsonschema.ValidationError):
        check("get", "/version", Reply(200, b'{"version": 1}'))
    assert backend.store.find(Key("Pod", "default", "sample")) is None
