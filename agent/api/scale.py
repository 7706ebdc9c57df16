"""The scale subresource (autoscaling/v1): the replica count of an object, whatever its kind."""

from __future__ import annotations

from agent.api import resources
from agent.api.call import Answer, Call
from agent.api.wire import Document, Scale
from agent.errors import InvalidObject
from agent.objects.deployment import MAX_REPLICAS
from agent.objects.encode import to_document

_METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def get(call: Call) -> Answer:
    return Answer(_scale_of(to_document(call.backend.store.get(resources.key_of(call)))))


def replace(call: Call) -> Answer:
    scale = call.body_as(Scale)
    return _set_replicas(call, scale.spec.replicas, scale.metadata.get("resourceVersion"))


def patch(call: Call) -> Answer:
    change = resources.patch_body(call)
    return _set_replicas(call, (change.get("spec") or {}).get("replicas"), (change.get("metadata") or {}).get("resourceVersion"))


def _set_replicas(call: Call, replicas: object, resource_version: str | None) -> Answer:
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        problem = "spec.replicas: must be a number, 0 or more"
        raise InvalidObject(f"cannot scale {resources.key_of(call)}: {problem}", problems=(problem,))
    if replicas > MAX_REPLICAS:
        raise InvalidObject(f"spec.replicas: {replicas} is more than one node can hold: at most {MAX_REPLICAS}")
    change: Document = {"spec": {"replicas": replicas}}
    if resource_version:
        change["metadata"] = {"resourceVersion": resource_version}
    return Answer(_scale_of(to_document(resources.patched(call, resources.key_of(call), change))))


def _scale_of(document: Document) -> Document:
    labels = document["spec"].get("selector", {}).get("matchLabels", {})
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {name: document["metadata"][name] for name in _METADATA if name in document["metadata"]},
        "spec": {"replicas": document["spec"].get("replicas", 1)},
        "status": {
            "replicas": document.get("status", {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        },
    }
