"""openapi.json: the API's description, generated from the route table and the types. Pure; the file is committed.

Every kind that has a type gets paths of its own, so that a reader or a client generator sees
`/api/v1/namespaces/{namespace}/pods`; the others share the patterns with `{plural}`. `python -m agent.api.openapi`
writes the file; a test compares it and holds a live server to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from agent import __version__
from agent.api import apply, node, policy, pools, resources, scale, volumes, wire, wire_volumes
from agent.api.call import JSON, Handler
from agent.api.peers import Access
from agent.api.routes import AGENT_ROUTES, OBJECT_ROUTES, Route
from agent.api.wire import Document
from agent.metrics import CONTENT_TYPE
from agent.objects.kinds import KINDS, KindInfo
from agent.objects.meta import ObjectMeta

FILE = Path(__file__).with_name("openapi.json")
YAML = "application/yaml"
BYTES = "application/octet-stream"
_SCALABLE = frozenset({"Deployment", "ReplicaSet", "StatefulSet", "ReplicationController"})
_REF = "#/components/schemas/{name}"

_PARAMETERS = {
    "dryRun": "All: check and answer as usual, store nothing",
    "labelSelector": "app=web,tier in (a,b),!legacy",
    "fieldSelector": "metadata.name=web-1; Pods also spec.nodeName and status.phase; Events also involvedObject.*, reason and type",
    "watch": "1: a stream of WatchEvents, one JSON document per line",
    "resourceVersion": "with watch: only what changed after it; 410 when that is no longer known",
    "timeoutSeconds": "with watch: end the stream after so long",
    "allowWatchBookmarks": "with watch: 1 sends BOOKMARK events",
    "gracePeriodSeconds": "how long the processes of a pod may take to end; default: terminationGracePeriodSeconds",
    "limit": "at most so many; the answer's `next` is where to go on",
    "start": "begin after this id",
    "sourceVolume": "snapshots of this volume only",
    "inNamespace": "one namespace only; for manifests: that of objects which name none",
    "source": "what problems are reported against, such as a file name",
    "from": "where a connection comes from: a pod, NAMESPACE/POD, or an address",
    "to": "where it goes to: a pod, NAMESPACE/POD, or an address",
    "protocol": "tcp, udp, sctp, icmp, icmpv6 or a number; default tcp",
    "port": "the destination's port, 1 to 65535",
    "policy": "KIND/NAME, such as networkpolicy/web",
}
_PATH = {
    "id": "the volume's or snapshot's id",
    "name": "the object's name",
    "namespace": "the object's namespace",
    "plural": "the kind's plural, see GET /kinds",
    "group": "the API group, such as apps",
    "version": "the group's version, such as v1",
}
_QUERY: dict[Handler, tuple[str, ...]] = {
    resources.list_: ("labelSelector", "fieldSelector", "watch", "resourceVersion", "timeoutSeconds", "allowWatchBookmarks"),
    resources.create: ("dryRun",),
    resources.replace: ("dryRun",),
    resources.patch: ("dryRun",),
    resources.delete: ("dryRun", "gracePeriodSeconds"),
    resources.delete_collection: ("dryRun", "gracePeriodSeconds", "labelSelector", "fieldSelector"),
    scale.replace: ("dryRun",),
    scale.patch: ("dryRun",),
    apply.apply: ("inNamespace", "dryRun", "source"),
    apply.delete: ("inNamespace", "dryRun", "source", "gracePeriodSeconds"),
    policy.explain: ("from", "to", "inNamespace", "protocol", "port"),
    policy.matrix: ("inNamespace", "protocol", "port"),
    policy.changes: ("inNamespace", "protocol", "port", "source"),
    policy.pods: ("policy", "inNamespace"),
    volumes.list_: ("limit", "start"),
    volumes.list_snapshots: ("limit", "start", "sourceVolume"),
    node.top_pods: ("inNamespace",),
    node.events: ("inNamespace", "labelSelector", "fieldSelector"),
}
_BODIES: dict[Handler, tuple[str, str]] = {
    resources.create: (JSON, "{kind}"),
    resources.replace: (JSON, "{kind}"),
    resources.patch: (resources.MERGE_PATCH, "Patch"),
    resources.delete: (JSON, "DeleteOptions"),
    resources.delete_collection: (JSON, "DeleteOptions"),
    scale.replace: (JSON, "Scale"),
    scale.patch: (resources.MERGE_PATCH, "Patch"),
    apply.apply: (YAML, "Manifest"),
    apply.delete: (YAML, "Manifest"),
    policy.changes: (YAML, "Manifest"),
    node.cni: (BYTES, "CniRequest"),
    node.exec_plan: (JSON, "ExecRequest"),
    pools.create: (JSON, "CreatePool"),
    volumes.capacity: (JSON, "CapacityRequest"),
    volumes.create: (JSON, "CreateVolume"),
    volumes.expand: (JSON, "ExpandVolume"),
    volumes.modify: (JSON, "ModifyVolume"),
    volumes.stage: (JSON, "StageVolume"),
    volumes.unstage: (JSON, "AtPath"),
    volumes.publish: (JSON, "PublishVolume"),
    volumes.unpublish: (JSON, "AtPath"),
    volumes.grow: (JSON, "GrowVolume"),
    volumes.stats: (JSON, "AtPath"),
    volumes.create_snapshot: (JSON, "CreateSnapshot"),
}
_CREATE = (resources.create, pools.create, volumes.create, volumes.create_snapshot)
_OPTIONAL_BODIES = (resources.delete, resources.delete_collection)
_ANSWERS: dict[Handler, tuple[str, str]] = {
    node.healthz: ("text/plain", "Text"),
    node.readyz: ("text/plain", "Text"),
    node.version: (JSON, "Version"),
    node.openapi: (JSON, "Anything"),
    node.kinds: (JSON, "KindList"),
    node.status: (JSON, "Anything"),
    node.metrics: (CONTENT_TYPE.partition(";")[0], "Text"),
    node.top_node: (JSON, "NodeUsageList"),
    node.top_pods: (JSON, "PodUsageList"),
    node.events: (JSON, "EventList"),
    node.cni: (JSON, "Anything"),
    node.exec_plan: (JSON, "ExecAnswer"),
    policy.explain: (JSON, "PolicyVerdictList"),
    policy.matrix: (JSON, "PolicyMatrix"),
    policy.changes: (JSON, "PolicyChangeList"),
    policy.pods: (JSON, "PolicyPods"),
    pools.list_: (JSON, "PoolList"),
    pools.create: (JSON, "PoolInfo"),
    pools.delete: (JSON, "Anything"),
    volumes.trim: (JSON, "Anything"),
    volumes.check: (JSON, "Anything"),
    volumes.node: (JSON, "StorageNode"),
    volumes.capacity: (JSON, "Capacity"),
    volumes.list_: (JSON, "VolumePage"),
    volumes.get: (JSON, "VolumeInfo"),
    volumes.create: (JSON, "VolumeInfo"),
    volumes.delete: (JSON, "Anything"),
    volumes.expand: (JSON, "Expanded"),
    volumes.modify: (JSON, "VolumeInfo"),
    volumes.stage: (JSON, "Anything"),
    volumes.unstage: (JSON, "Anything"),
    volumes.publish: (JSON, "Anything"),
    volumes.unpublish: (JSON, "Anything"),
    volumes.grow: (JSON, "Expanded"),
    volumes.stats: (JSON, "VolumeStats"),
    volumes.list_snapshots: (JSON, "SnapshotPage"),
    volumes.get_snapshot: (JSON, "SnapshotInfo"),
    volumes.create_snapshot: (JSON, "SnapshotInfo"),
    volumes.delete_snapshot: (JSON, "Anything"),
    apply.apply: (JSON, "ApplyResult"),
    apply.delete: (JSON, "ApplyResult"),
    resources.list_: (JSON, "{kind}List"),
    resources.get: (JSON, "{kind}"),
    resources.create: (JSON, "{kind}"),
    resources.replace: (JSON, "{kind}"),
    resources.patch: (JSON, "{kind}"),
    resources.delete: (JSON, "{kind}"),
    resources.delete_collection: (JSON, "{kind}List"),
    scale.get: (JSON, "Scale"),
    scale.replace: (JSON, "Scale"),
    scale.patch: (JSON, "Scale"),
}


def document() -> Document:
    """The whole OpenAPI 3.1 document."""
    paths: dict[str, Document] = {}
    for route in AGENT_ROUTES:
        _add(paths, route, route.path, None)
    for info in KINDS.values():
        if info.is_acted_on:
            for route, path in _paths_of(info):
                _add(paths, route, path, info)
    for route in OBJECT_ROUTES:
        if not route.path.endswith("/exec"):
            _add(paths, route, route.path, None)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Podwright agent",
            "version": __version__,
            "description": "HTTP and JSON on a unix socket. Rights follow the peer's uid: root may do everything, the configured "
            "group may read (Secrets excepted), others are refused with 403. Every failure is a Status.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "parameters": {**{name: _path_parameter(name) for name in _PATH}, **{name: _query_parameter(name) for name in _PARAMETERS}},
            "responses": {"Failure": {"description": "a failure", "content": _content(JSON, "Status")}},
            "schemas": _schemas(),
        },
    }


def text() -> str:
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def _paths_of(info: KindInfo) -> Iterator[tuple[Route, str]]:
    """The routes that make sense for a kind, with its words in the path. Of two groups that answer alike it shows one."""
    for route in OBJECT_ROUTES:
        is_of_group = route.path.startswith("/apis/")
        is_item_without_namespace = "{name}" in route.path and "{namespace}" not in route.path
        fits_scope = not is_item_without_namespace if info.namespaced else "{namespace}" not in route.path
        if not fits_scope or not _fits_subresource(route, info) or (info.is_internal and route.access is Access.WRITE):
            continue
        for api_version in info.api_versions[:1]:
            group, _, version = api_version.rpartition("/")
            if bool(group) is is_of_group:
                yield route, route.path.replace("{group}", group).replace("{version}", version).replace("{plural}", info.plural)


def _fits_subresource(route: Route, info: KindInfo) -> bool:
    if route.path.endswith("/scale"):
        return info.kind in _SCALABLE
    return info.kind == "Pod" if route.path.endswith("/exec") else True


def _add(paths: dict[str, Document], route: Route, path: str, info: KindInfo | None) -> None:
    operation: Document = {
        "operationId": _operation_id(route.method, path),
        "description": " ".join((route.handler.__doc__ or "").split()),
        "x-access": route.access.name.lower(),
        "parameters": [
            {"$ref": f"#/components/parameters/{name}"} for name in (*re.findall(r"{(\w+)}", path), *_QUERY.get(route.handler, ()))
        ],
        "responses": _responses(route, info),
    }
    if body := _BODIES.get(route.handler):
        content_type, schema = body
        is_required = route.handler not in _OPTIONAL_BODIES
        operation["requestBody"] = {"required": is_required, "content": _content(content_type, _named(schema, info))}
    paths.setdefault(path, {})[route.method.lower()] = {name: value for name, value in operation.items() if value not in ("", [])}


def _operation_id(method: str, path: str) -> str:
    words = re.findall(r"\w+", path.replace("{", "by ").replace(".", " "))
    return method.lower() + "".join(word[0].upper() + word[1:] for word in words)


def _path_parameter(name: str) -> Document:
    return {"name": name, "in": "path", "required": True, "description": _PATH[name], "schema": {"type": "string"}}


def _query_parameter(name: str) -> Document:
    written = "namespace" if name == "inNamespace" else name
    return {"name": written, "in": "query", "description": _PARAMETERS[name], "schema": {"type": "string"}}


def _responses(route: Route, info: KindInfo | None) -> Document:
    content_type, schema = _ANSWERS[route.handler]
    content = _content(content_type, _named(schema, info))
    if route.is_watchable:
        content[JSON]["schema"] = {"oneOf": [content[JSON]["schema"], {"$ref": _REF.format(name="WatchEvent")}]}
    done: Document = {"description": "done", "content": content}
    if route.handler is node.cni:
        exit_status = {"description": "how the plugin's process ends", "schema": {"type": "integer"}}
        done["headers"] = {node.CNI_EXIT_STATUS: exit_status}
    answers = {"201" if route.handler in _CREATE else "200": done}
    if route.handler in (apply.apply, apply.delete):
        answers["207"] = {"description": "some objects failed, see each item's error", "content": content}
    answers["default"] = {"$ref": "#/components/responses/Failure"}
    return answers


def _content(content_type: str, schema: str) -> Document:
    return {content_type: {"schema": {"$ref": _REF.format(name=schema)}}}


def _named(schema: str, info: KindInfo | None) -> str:
    return schema.format(kind=info.kind if info is not None else "OtherObject")


def _schemas() -> Document:
    typed = [info for info in KINDS.values() if info.is_acted_on]
    wires = [
        found
        for found in (*vars(wire).values(), *vars(wire_volumes).values())
        if isinstance(found, type) and issubclass(found, msgspec.Struct)
    ]
    _, schemas = msgspec.json.schema_components(
        [ObjectMeta, *(info.type for info in typed), *wires], schema_hook=_foreign_schema, ref_template=_REF
    )
    for info in typed:
        _as_answered(schemas[info.kind])
        schemas[f"{info.kind}List"] = _list_schema(info.kind)
    return dict(sorted({**schemas, **_plain_schemas()}.items()))


def _as_answered(schema: Document) -> None:
    """An object on the wire says what it is, also where that is its type's default."""
    schema["required"] = sorted({*schema.get("required", ()), "apiVersion", "kind", "metadata"})


def _list_schema(kind: str) -> Document:
    return {
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {"resourceVersion": {"type": "string"}}, "required": ["resourceVersion"]},
            "items": {"type": "array", "items": {"$ref": _REF.format(name=kind)}},
        },
        "required": ["apiVersion", "kind", "metadata", "items"],
        "additionalProperties": False,
    }


def _plain_schemas() -> Document:
    """Shapes that no type stands for."""
    named = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"$ref": _REF.format(name="ObjectMeta")}}
    return {
        "Anything": {"type": "object"},
        "CniRequest": {"description": "the environment and standard input of a CNI plugin, as the shim frames them"},
        "EventList": _list_schema("OtherObject"),
        "Manifest": {"type": "string", "description": "YAML, several documents, Lists allowed; or JSON"},
        "OtherObject": {
            "type": "object",
            "description": "an object of a kind that is stored and not acted upon",
            "properties": named,
            "required": sorted(named),
        },
        "OtherObjectList": _list_schema("OtherObject"),
        "Patch": {"type": "object", "description": "RFC 7386 merge patch: null removes a field"},
        "Text": {"type": "string"},
    }


def _foreign_schema(wanted: type) -> Document:
    """Addresses, networks and quantities are text. Also taken as a number by Quantity, but never written as one."""
    if wanted.__name__ == "Quantity":
        return {"type": ["string", "number"]}
    return {"type": "string"}


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
