"""Manifests in: the only parser of foreign objects. What leaves here can be trusted; what is wrong is told all at once.

Text becomes documents (manifest.py), `List` kinds are unfolded, each document is checked against its kind's type
(schema.py), converted, and judged by validate.py. Misspelt fields are errors; fields of Kubernetes that nothing acts on
yet, and kinds of that sort, are kept and named in the warnings.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import replace

from agent.errors import InvalidObject
from agent.objects import validate
from agent.objects.encode import opaque, to_document
from agent.objects.enforced import not_enforced
from agent.objects.kinds import KINDS, KindInfo, kinds_written
from agent.objects.manifest import documents
from agent.objects.meta import Object, ObjectMeta, decode_hook
from agent.objects.namespace import DEFAULT_NAMESPACE
from agent.objects.opaque import Opaque
from agent.objects.scalar import describe, plain
from agent.objects.schema import Findings, check


@dataclass(frozen=True, slots=True)
class Decoded:
    """`warnings`: what is stored and has no effect, one line each. `written`: the document as its author wrote it."""

    object: Object
    warnings: tuple[str, ...] = ()
    written: Mapping[str, Any] = field(default_factory=dict)


def decode(text: str, *, source: str = "", default_namespace: str = DEFAULT_NAMESPACE) -> list[Decoded]:
    """Every object of a manifest, in order. `source` is the file's name, for messages. Raises InvalidObject with all problems."""
    found: list[Decoded] = []
    problems: list[tuple[str, list[str]]] = []
    candidates = [item for document in documents(text, source or "the manifest") for item in _unfold(document.value)]
    for candidate in candidates:
        decoded, wrong = _decode_one(candidate, default_namespace)
        if wrong:
            problems.append((_title(candidate), wrong))
        elif decoded is not None:
            found.append(decoded)
    if problems:
        raise _refusal(problems, source, is_alone=len(candidates) == 1)
    return found


def _unfold(value: Any) -> Iterator[Any]:
    """The items of a List (or PodList …), at any depth; else the value itself."""
    if isinstance(value, dict) and str(value.get("kind", "")).endswith("List") and "items" in value:
        items = value["items"]
        for item in items if isinstance(items, list) else ():
            yield from _unfold(item)
    else:
        yield value


def _decode_one(value: Any, default_namespace: str) -> tuple[Decoded | None, list[str]]:
    info, wrong = _kind(value)
    if info is None:
        return None, wrong
    if info.type is Opaque:
        thing, findings = _opaque(value)
    else:
        thing, findings = _typed(value, info)
    wrong = [*findings.problems, *(str(unknown) for unknown in findings.unknown)]
    if thing is None or wrong:
        return None, wrong
    placed, warnings = _in_namespace(thing, info, default_namespace)
    wrong = validate.problems(placed)
    if wrong:
        return None, wrong
    return Decoded(placed, (*warnings, *_warnings(placed, info)), plain(value)), []


def _kind(value: Any) -> tuple[KindInfo | None, list[str]]:
    if not isinstance(value, dict):
        got = "a list" if isinstance(value, list) else describe(value)
        return None, [f"document: expected an object with apiVersion and kind, got {got}"]
    missing = [f"{name}: is required and missing" for name in ("apiVersion", "kind") if not isinstance(value.get(name), str)]
    if missing:
        return None, missing
    kind, api_version = value["kind"], value["apiVersion"]
    infos = [info for info in kinds_written(kind) if not info.is_internal]
    if not infos:
        return None, [f'kind: "{kind}" is not a kind this agent knows{_suggestion(kind, api_version)}']
    for info in infos:
        if api_version in info.api_versions:
            return info, []
    versions = " or ".join(version for info in infos for version in info.api_versions)
    return None, [f'apiVersion: {kind} is in {versions}, not in "{api_version}"']


def _suggestion(kind: str, api_version: str) -> str:
    """A near name in the same API version; somewhere else only a very near one, since other groups have kinds of their own."""
    known = [info for info in KINDS.values() if not info.is_internal]
    for infos, likeness in (([info for info in known if api_version in info.api_versions], 0.6), (known, 0.85)):
        folded = {info.singular: info.written for info in infos}
        if near := difflib.get_close_matches(kind.lower(), [*folded], 1, likeness):
            return f', did you mean "{folded[near[0]]}"?'
    return ""


def _typed(value: dict[str, Any], info: KindInfo) -> tuple[Object | None, Findings]:
    clean, findings = check(value, info.type)
    if findings.problems or findings.unknown:
        return None, findings
    try:
        return msgspec.convert(clean, info.type, dec_hook=decode_hook), findings
    except msgspec.ValidationError as error:
        findings.problems.append(str(error))
        return None, findings


def _opaque(value: dict[str, Any]) -> tuple[Object | None, Findings]:
    clean, findings = check(value.get("metadata", {}), ObjectMeta, "metadata")
    if findings.problems or findings.unknown:
        return None, findings
    return opaque({**plain(value), "metadata": clean}), findings


def _in_namespace(thing: Object, info: KindInfo, default_namespace: str) -> tuple[Object, tuple[str, ...]]:
    metadata = thing.metadata
    if info.namespaced:
        return replace(thing, metadata=replace(metadata, namespace=metadata.namespace or default_namespace)), ()
    if not metadata.namespace:
        return thing, ()
    return replace(thing, metadata=replace(metadata, namespace="")), (
        f"metadata.namespace is ignored: a {info.written} is in no namespace",
    )


def _warnings(thing: Object, info: KindInfo) -> list[str]:
    if info.type is Opaque:
        return [f"kind {info.kind} is stored but nothing acts on it yet"]
    return [f"{path} is stored but not enforced" for path in not_enforced(info.kind, to_document(thing))]


def _title(candidate: Any) -> str:
    """ "Deployment shop/web", as far as it can be told from a document that may be wrong."""
    if not isinstance(candidate, dict):
        return "document"
    metadata = candidate.get("metadata")
    fields = metadata if isinstance(metadata, dict) else {}
    name = "/".join(fields[key] for key in ("namespace", "name") if isinstance(fields.get(key), str))
    kind = candidate["kind"] if isinstance(candidate.get("kind"), str) else "object"
    return f"{kind} {name}".rstrip()


def _refusal(problems: list[tuple[str, list[str]]], source: str, *, is_alone: bool) -> InvalidObject:
    lines = [line if is_alone else f"{title}: {line}" for title, wrong in problems for line in wrong]
    title, first = problems[0][0], problems[0][1][0]
    where = f"{source}: " if source else ""
    rest = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return InvalidObject(f"{where}{title} is wrong: {first}{rest}", problems=lines)
