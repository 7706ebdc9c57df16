"""Objects out: as a document for people and the API, as bytes for the store; and back from the store's bytes.

apiVersion and kind are always there and first, although Values leave out what equals its default.
A record is read by whatever version comes next: fields it has no type for are handed to the store by path
(`Record.unplaced`) and put back on writing, so that an older agent loses nothing a newer one wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from agent.errors import InternalError
from agent.objects.kinds import KINDS
from agent.objects.meta import Object, ObjectMeta, decode_hook, encode_hook
from agent.objects.opaque import Opaque
from agent.objects.schema import check, place, take_unknown
from agent.objects.unreadable import Unreadable

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Record(NamedTuple):
    object: Object
    unplaced: Mapping[str, Any] = _NOTHING


def to_document(thing: Object) -> dict[str, Any]:
    """JSON-ready values, in the order apiVersion, kind, metadata, everything else."""
    fields = msgspec.json.decode(msgspec.json.encode(thing, enc_hook=encode_hook))  # to_builtins would leave tuples
    if isinstance(thing, Unreadable):
        fields = {name: value for name, value in fields.items() if name in ("metadata", "rest")}
    rest = fields.pop("rest", {}) if isinstance(thing, Opaque) else {}
    head = {"apiVersion": thing.api_version, "kind": thing.kind, "metadata": fields.pop("metadata", {})}
    return {**head, **rest, **{name: value for name, value in fields.items() if name not in head}}


def encode(thing: Object, unplaced: Mapping[str, Any] = _NOTHING) -> bytes:
    document = to_document(thing)
    for path, value in unplaced.items():
        place(document, path, value)
    return msgspec.json.encode(document)


def from_record(kind: str, body: bytes) -> Record:
    """The object that `encode` wrote, whatever version of the agent that was. Raises InternalError."""
    info = KINDS.get(kind)
    wanted = info.type if info is not None else Opaque
    try:
        if wanted is Opaque:
            return Record(opaque(msgspec.json.decode(body)))
        try:
            return Record(msgspec.json.decode(body, type=wanted, dec_hook=decode_hook))
        except msgspec.ValidationError:
            document, unplaced = take_unknown(msgspec.json.decode(body), wanted)
            if info is not None and info.is_all_or_nothing and (reason := _trouble(msgspec.json.decode(body), wanted)):
                return Record(_unreadable(msgspec.json.decode(body), kind, reason))
            return Record(msgspec.convert(document, wanted, dec_hook=decode_hook), unplaced)
    except msgspec.MsgspecError as error:
        raise InternalError(f"cannot read a stored {kind}: {error}", hint="another version of the agent wrote it: use that one") from error


def _trouble(document: Any, wanted: type[Object]) -> str:
    """What of a stored object cannot be understood, metadata and status apart: those change no meaning."""
    _, findings = check(document, wanted)
    unknown = [str(found) for found in findings.unknown if found.path.partition(".")[0] not in ("metadata", "status")]
    return "; ".join((*findings.problems, *unknown))


def _unreadable(document: Mapping[str, Any], kind: str, reason: str) -> Unreadable:
    plain = opaque(document)
    return Unreadable(
        api_version=plain.api_version, kind=plain.kind, metadata=plain.metadata, rest=plain.rest, stored_as=kind, reason=reason
    )


def opaque(document: Mapping[str, Any]) -> Opaque:
    """An object of a kind that has no type. Raises msgspec.ValidationError for wrong metadata."""
    rest = {key: value for key, value in document.items() if key not in ("apiVersion", "kind", "metadata")}
    metadata = msgspec.convert(document.get("metadata", {}), ObjectMeta, dec_hook=decode_hook)
    return Opaque(api_version=document["apiVersion"], kind=document["kind"], metadata=metadata, rest=rest)
