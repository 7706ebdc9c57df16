"""Objects by Kubernetes' paths: list, get, create, replace, patch, delete."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from msgspec import structs

from agent.api import writing
from agent.api.call import Answer, Call
from agent.api.patch import merge_patch
from agent.api.peers import Access
from agent.api.selection import predicate
from agent.api.wire import DeleteOptions, Document
from agent.errors import CallerError, Conflict, Forbidden, InvalidObject, NotFound
from agent.objects.decode import Decoded, decode
from agent.objects.encode import to_document
from agent.objects.kinds import KINDS, KindInfo
from agent.objects.meta import Key, Object
from agent.objects.namespace import DEFAULT_NAMESPACE

MERGE_PATCH = "application/merge-patch+json"
_FOR_WRITERS = frozenset({"Secret"})
"""Kinds that the reading group may not read, as in Kubernetes' view role."""


def kind_of(call: Call) -> KindInfo:
    """The kind that the path names. Raises NotFound; Forbidden where reading it needs more than the peer has."""
    group, plural = call.path.get("group", ""), call.path["plural"]
    api_version = f"{group}/{call.path['version']}" if group else "v1"
    for info in KINDS.values():
        if info.plural == plural and api_version in info.api_versions:
            if info.kind in _FOR_WRITERS and call.access < Access.WRITE:
                raise Forbidden(f"{plural} can be read by root only", hint="run the command with sudo")
            return info
    raise NotFound(f"no kind {plural} in {api_version}", hint="GET /kinds lists all")


def namespace_of(call: Call, info: KindInfo) -> str | None:
    """The namespace of the path; None is all of them."""
    named = call.path.get("namespace")
    if named is not None and not info.namespaced:
        raise NotFound(f"{info.plural} have no namespace", hint=f"leave /namespaces/{named} out of the path")
    return named


def key_of(call: Call) -> Key:
    info = kind_of(call)
    namespace = namespace_of(call, info)
    if info.namespaced and namespace is None:
        raise NotFound(f"{info.plural} have a namespace", hint="put /namespaces/NAMESPACE into the path")
    return Key(info.kind, namespace or "", call.path["name"])


def list_(call: Call) -> Answer:
    info = kind_of(call)
    objects, version = selected(call, info)
    return _list_answer(info, version, objects)


def get(call: Call) -> Answer:
    return Answer(to_document(call.backend.store.get(key_of(call))))


def create(call: Call) -> Answer:
    info = kind_of(call)
    namespace = namespace_of(call, info)
    decoded = _only_one(decode(call.text, source="request body", default_namespace=namespace or DEFAULT_NAMESPACE))
    key = decoded.object.key
    if key.kind != info.kind or (namespace is not None and key.namespace != namespace):
        raise InvalidObject(f"cannot create {key} here: the path is that of {info.plural}" + (f" in {namespace}" if namespace else ""))
    stored = writing.create(call.backend, decoded.object, is_dry_run=call.is_dry_run)
    return Answer(to_document(stored), status=201, warnings=tuple(decoded.warnings))


def replace(call: Call) -> Answer:
    key = key_of(call)
    decoded = _only_one(decode(call.text, source="request body", default_namespace=key.namespace or DEFAULT_NAMESPACE))
    if decoded.object.key != key:
        raise InvalidObject(f"cannot replace {key}: the body is {decoded.object.key}")
    stored = writing.change(call.backend, key, lambda _: decoded.object, is_dry_run=call.is_dry_run)
    return Answer(to_document(stored), warnings=tuple(decoded.warnings))


def patch(call: Call) -> Answer:
    """RFC 7386. `metadata.resourceVersion` in the patch is a precondition."""
    return Answer(to_document(patched(call, key_of(call), patch_body(call))))


def patched(call: Call, key: Key, change: Document) -> Object:
    """The stored object after a merge patch."""
    has_precondition = "resourceVersion" in (change.get("metadata") or {})

    def transform(live: Object) -> Object:
        document = merge_patch(to_document(live), change)
        if not has_precondition:
            document["metadata"].pop("resourceVersion", None)
        decoded = _only_one(decode(json.dumps(document), source=str(key), default_namespace=key.namespace or DEFAULT_NAMESPACE))
        if decoded.object.key != key:
            raise InvalidObject(f"cannot patch {key}: kind, name and namespace cannot be changed")
        return decoded.object

    return writing.change(call.backend, key, transform, is_dry_run=call.is_dry_run)


def patch_body(call: Call) -> Document:
    if call.content_type not in (MERGE_PATCH, "application/json"):
        raise CallerError(f"cannot patch with {call.content_type}: only {MERGE_PATCH} is known here")
    change: Document = call.body_as(dict[str, Any])
    if not isinstance(change.get("metadata") or {}, dict):
        raise InvalidObject("metadata must be an object", problems=("metadata: must be an object",))
    return change


def delete(call: Call) -> Answer:
    """Answers with the object as it was, or as finalizers hold it (metadata.deletionTimestamp is set)."""
    key, options = key_of(call), _delete_options(call)
    live = call.backend.store.get(key)
    wanted = options.preconditions
    if wanted.resource_version not in ("", live.metadata.resource_version):
        raise Conflict(f"cannot delete {key}: resourceVersion is {live.metadata.resource_version}, not {wanted.resource_version}")
    if wanted.uid not in ("", live.metadata.uid):
        raise Conflict(f"cannot delete {key}: its uid is {live.metadata.uid}, not {wanted.uid}")
    return Answer(to_document(_delete(call, live, options)))


def delete_collection(call: Call) -> Answer:
    info, options = kind_of(call), _delete_options(call)
    objects, version = selected(call, info)
    return _list_answer(info, version, [_delete(call, found, options) for found in objects])


def selected(call: Call, info: KindInfo) -> tuple[Sequence[Object], int]:
    """The objects that path and selectors name, and the store's resourceVersion."""
    objects, version = call.backend.store.list(info.kind, namespace_of(call, info))
    wanted = predicate(info.kind, call.query)
    return (objects if wanted is None else [found for found in objects if wanted(found)]), version


def _list_answer(info: KindInfo, version: int, objects: Sequence[Object]) -> Answer:
    return Answer(
        {
            "apiVersion": info.api_versions[0],
            "kind": f"{info.written}List",
            "metadata": {"resourceVersion": str(version)},
            "items": [to_document(found) for found in objects],
        }
    )


def _only_one(decoded: Sequence[Decoded]) -> Decoded:
    if len(decoded) != 1:
        raise InvalidObject(f"request body holds {len(decoded)} objects, one is expected", hint="POST /apply takes many")
    return decoded[0]


def _delete_options(call: Call) -> DeleteOptions:
    options = call.body_as(DeleteOptions) if call.body.strip() else DeleteOptions()
    if text := call.query.get("gracePeriodSeconds"):
        if not text.isdecimal():
            raise InvalidObject(f'gracePeriodSeconds must be seconds, 0 or more, not "{text}"')
        options = structs.replace(options, grace_period_seconds=int(text))
    return options


def _delete(call: Call, live: Object, options: DeleteOptions) -> Object:
    is_dry_run = call.is_dry_run or bool(options.dry_run)
    return writing.delete(call.backend, live, grace_period_s=options.grace_period_seconds, is_dry_run=is_dry_run)
