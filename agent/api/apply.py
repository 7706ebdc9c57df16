"""POST /apply: many manifests at once, each created, configured or left unchanged; DELETE /apply: the reverse.

All documents are decoded before the first is stored, so a manifest with a mistake changes nothing. After that each
stands for itself, in the order given: one that the node refuses does not stop the others, and the answer says
which failed and why (207 instead of 200). What a manifest said last is kept in an annotation, see patch.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import structs

from agent.api import writing
from agent.api.call import Answer, Call
from agent.api.failure import to_status
from agent.api.patch import LAST_APPLIED, three_way
from agent.api.wire import ApplyItem, ApplyResult, Document, Status
from agent.errors import AlreadyExists, Conflict, InvalidObject, PodwrightError
from agent.objects.decode import Decoded, decode
from agent.objects.encode import to_document
from agent.objects.meta import Object
from agent.objects.namespace import DEFAULT_NAMESPACE

_Result = tuple[Object, str]
_Act = Callable[[Decoded], _Result]


def apply(call: Call) -> Answer:
    return _each(_decoded(call), lambda decoded: _apply_one(call, decoded))


def delete(call: Call) -> Answer:
    """Last first: what was created later may depend on what came before."""
    return _each(list(reversed(_decoded(call))), lambda decoded: _delete_one(call, decoded.object))


def _decoded(call: Call) -> Sequence[Decoded]:
    found = decode(call.text, source=call.query.get("source", "request body"), default_namespace=_default_namespace(call))
    if not found:
        raise InvalidObject("the manifest holds no object")
    return found


def _default_namespace(call: Call) -> str:
    return call.query.get("namespace") or DEFAULT_NAMESPACE


def _each(decoded: Sequence[Decoded], act: _Act) -> Answer:
    items = tuple(_item(one, act) for one in decoded)
    return Answer(ApplyResult(items=items), status=207 if any(item.error for item in items) else 200)


def _item(decoded: Decoded, act: _Act) -> ApplyItem:
    error: Status | None = None
    subject, result = decoded.object, "failed"
    try:
        subject, result = act(decoded)
    except PodwrightError as failure:
        error = msgspec.convert(to_status(failure), Status)
    return ApplyItem(
        kind=subject.kind,
        api_version=subject.api_version,
        namespace=subject.metadata.namespace,
        name=subject.metadata.name,
        result=result,  # type: ignore[arg-type]
        warnings=tuple(decoded.warnings),
        error=error,
    )


def _apply_one(call: Call, decoded: Decoded) -> _Result:
    wanted = decoded.object
    if not wanted.metadata.name:
        raise InvalidObject(f"cannot apply a {wanted.kind} without metadata.name: apply must find it again", hint="create it by POST")
    manifest = _manifest(decoded)
    if call.backend.store.find(wanted.key) is None:
        with suppress(AlreadyExists):  # somebody else was faster: then it is a change
            return writing.create(call.backend, _annotated(wanted, manifest), is_dry_run=call.is_dry_run), "created"
    before: list[Object] = []

    def merged(live: Object) -> Object:
        before[:] = [live]
        if live.is_being_deleted:
            raise Conflict(f"cannot apply {live.key}: it is being deleted", hint="wait until it is gone, then apply again")
        return _merged(wanted, manifest, live)

    stored = writing.change(call.backend, wanted.key, merged, is_dry_run=call.is_dry_run)
    return stored, "unchanged" if stored == before[0] else "configured"


def _merged(wanted: Object, manifest: Document, live: Object) -> Object:
    document = three_way(_last_applied(live), manifest, to_document(live))
    document["metadata"].pop("resourceVersion", None)
    if version := wanted.metadata.resource_version:
        document["metadata"]["resourceVersion"] = version
    if "status" in (sent := to_document(wanted)):
        document["status"] = sent["status"]
    (decoded,) = decode(json.dumps(document), source=str(wanted.key), default_namespace=DEFAULT_NAMESPACE)
    return _annotated(decoded.object, manifest)


def _manifest(decoded: Decoded) -> Document:
    """What the caller said, in canonical form: no defaults, no status, nothing of the agent's."""
    document = _only_written(to_document(decoded.object), decoded.written)
    document.pop("status", None)
    kept = ("labels", "annotations", "finalizers", "ownerReferences")
    metadata = {name: value for name, value in document.get("metadata", {}).items() if name in kept}
    metadata.get("annotations", {}).pop(LAST_APPLIED, None)
    return {**document, "metadata": metadata}


def _only_written(document: Document, written: Mapping[str, Any]) -> Document:
    """Without the fields that only a default put there."""
    return {
        name: _only_written(value, written[name]) if isinstance(value, dict) and isinstance(written[name], dict) else value
        for name, value in document.items()
        if name in written
    }


def _annotated(subject: Object, manifest: Document) -> Object:
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    annotations = {**subject.metadata.annotations, LAST_APPLIED: text}
    return structs.replace(subject, metadata=structs.replace(subject.metadata, annotations=annotations))


def _last_applied(live: Object) -> Document:
    """Nothing where the annotation is missing or was damaged: then nothing is removed either."""
    try:
        found = json.loads(live.metadata.annotations.get(LAST_APPLIED, "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _delete_one(call: Call, wanted: Object) -> _Result:
    live = call.backend.store.find(wanted.key)
    if live is None:
        return wanted, "absent"
    grace = call.query.get("gracePeriodSeconds", "")
    if grace and not grace.isdecimal():
        raise InvalidObject(f'gracePeriodSeconds must be seconds, 0 or more, not "{grace}"')
    gone = writing.delete(call.backend, live, grace_period_s=int(grace) if grace else None, is_dry_run=call.is_dry_run)
    return gone, "deleted"
