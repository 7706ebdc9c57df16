"""The one way an object gets from a caller into the store.

A caller writes spec, labels, annotations and finalizers. Status, uid, generation and the times are the agent's:
what a caller sends there is replaced by what is stored. The exception are Pods and Nodes of other nodes, and kinds
that nothing acts on: nobody here owns their status, so the caller's is kept. Admission sees every object before
the store does. A change with a resourceVersion is refused when that is stale; one without is made again, on the
newer object, when another writer was faster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import structs

from agent.api.backend import Backend
from agent.errors import Conflict, Forbidden
from agent.objects.kinds import KINDS
from agent.objects.meta import Key, Object, ObjectMeta
from agent.objects.node import Node
from agent.objects.pod import Pod

_UPDATE_TRIES = 8


def create(backend: Backend, wanted: Object, *, is_dry_run: bool = False) -> Object:
    _refuse_internal(wanted.key)
    new = structs.replace(wanted, metadata=_plain_metadata(wanted.metadata), **_status_of_new(wanted, backend.node_name))
    admitted = backend.admit(new, None)
    return admitted if is_dry_run else backend.store.create(admitted)


def change(backend: Backend, key: Key, transform: Callable[[Object], Object], *, is_dry_run: bool = False) -> Object:
    """Store `transform(what is stored)`; a resourceVersion in its result is a precondition. Returns what is stored then."""
    _refuse_internal(key)
    for _ in range(_UPDATE_TRIES):
        live = backend.store.get(key)
        wanted = transform(live)
        precondition = wanted.metadata.resource_version
        if precondition and precondition != live.metadata.resource_version:
            raise Conflict(f"cannot change {key}: resourceVersion is {live.metadata.resource_version}, not {precondition}")
        admitted = backend.admit(_with_owned_fields(wanted, live, backend.node_name), live)
        if is_dry_run:
            return admitted
        try:
            return backend.store.update(admitted)
        except Conflict:
            if precondition:
                raise
    raise Conflict(f"cannot change {key}: others changed it {_UPDATE_TRIES} times meanwhile", hint="try again")


def delete(backend: Backend, live: Object, *, grace_period_s: int | None = None, is_dry_run: bool = False) -> Object:
    """The object as finalizers still hold it, else as it last was."""
    _refuse_internal(live.key)
    if is_dry_run:
        return live
    grace = _default_grace_s(live) if grace_period_s is None else grace_period_s
    return backend.store.delete(live.key, uid=live.metadata.uid, grace_period_s=grace) or live


def is_of_another_node(candidate: Object, node_name: str) -> bool:
    if isinstance(candidate, Pod):
        return candidate.spec.node_name not in ("", node_name)
    return isinstance(candidate, Node) and candidate.metadata.name != node_name


def _default_grace_s(live: Object) -> int:
    return live.spec.termination_grace_period_seconds if isinstance(live, Pod) else 0


def _refuse_internal(key: Key) -> None:
    if KINDS[key.kind].is_internal:
        raise Forbidden(f"cannot change {key}: the agent keeps it for itself")


def _plain_metadata(metadata: ObjectMeta) -> ObjectMeta:
    """What a caller may say of a new object."""
    return ObjectMeta(
        name=metadata.name,
        generate_name=metadata.generate_name,
        namespace=metadata.namespace,
        labels=metadata.labels,
        annotations=metadata.annotations,
        finalizers=metadata.finalizers,
        owner_references=metadata.owner_references,
    )


def _status_of_new(wanted: Object, node_name: str) -> dict[str, Any]:
    if not hasattr(wanted, "status") or is_of_another_node(wanted, node_name):
        return {}
    empty = next(field for field in structs.fields(type(wanted)) if field.name == "status")
    return {"status": empty.default}


def _with_owned_fields(wanted: Object, live: Object, node_name: str) -> Object:
    if wanted.metadata.uid not in ("", live.metadata.uid):
        raise Conflict(f"cannot change {live.key}: its uid is {live.metadata.uid}, not {wanted.metadata.uid}")
    metadata = structs.replace(
        live.metadata,
        labels=wanted.metadata.labels,
        annotations=wanted.metadata.annotations,
        finalizers=wanted.metadata.finalizers,
        owner_references=wanted.metadata.owner_references,
    )
    own = {"status": live.status} if hasattr(live, "status") and not is_of_another_node(wanted, node_name) else {}
    return structs.replace(wanted, metadata=metadata, **own)
