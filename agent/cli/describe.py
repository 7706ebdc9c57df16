"""podwright describe: everything about an object in a shape for people, with its events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from agent.api.client import Client, Document, collection_path
from agent.cli.columns import at, pod_addresses, pod_status
from agent.cli.options import with_namespace, with_selector
from agent.cli.targets import Found, Kinds, Scope, find_all
from agent.cli.terminal import age, table_lines

_EXAMPLES = """\b
Examples:
  podwright describe pod web-1
  podwright describe deploy/web -n shop
  podwright describe pods -l app=web
"""
_HIDDEN_ANNOTATION = "podwright.io/last-applied"
_STEP = "  "


@click.command(epilog=_EXAMPLES)
@click.argument("what", nargs=-1, required=True, metavar="KIND [NAME]... | KIND/NAME...")
@with_namespace
@with_selector
def command(what: tuple[str, ...], namespace: str, selector: str) -> None:
    """Show everything about an object, with its events."""
    with Client() as client:
        found = find_all(client, Kinds.of(client).targets(what), Scope(namespace, selector))
        for number, one in enumerate(found):
            if number:
                print("\n")
            for line in description(one, _events(client, one), _policy_lines(client, one)):
                print(line)


def _events(client: Client, subject: Found) -> list[Document]:
    namespace = subject.document["metadata"].get("namespace", "")
    query = {"fieldSelector": f"involvedObject.uid={subject.document['metadata'].get('uid', '')}"}
    events: list[Document] = client.get(collection_path("v1", "events", namespace), query)["items"]
    return sorted(events, key=lambda event: str(event.get("lastTimestamp", "")))


_POLICIES = frozenset({"NetworkPolicy", "CalicoNetworkPolicy", "GlobalNetworkPolicy", "ClusterNetworkPolicy"})


def _policy_lines(client: Client, subject: Found) -> list[str]:
    """Of a policy: the pods that it applies to, and why it is not taken at its word where it cannot be enforced."""
    if subject.kind.kind not in _POLICIES:
        return []
    metadata = subject.document["metadata"]
    query = {"policy": f"{subject.kind.prefix}/{metadata['name']}", "namespace": metadata.get("namespace", "")}
    found = client.get("/policy/pods", query)
    lines = [f"{_title(way)} of: {', '.join(found[way]) or 'no pod'}" for way in ("ingress", "egress")]
    return [f"Broken: {found['reason']}; it denies instead", *lines] if found["reason"] else lines


def description(subject: Found, events: list[Document], more: Sequence[str] = ()) -> Iterator[str]:
    """The lines, one subject after the other."""
    document = subject.document
    yield from _aligned(_head(subject))
    for section in document:
        if section not in ("apiVersion", "kind", "metadata", "status"):
            yield from _section(section, document[section])
    status = {name: value for name, value in document.get("status", {}).items() if name != "conditions"}
    yield from _section("status", status)
    yield from _conditions(at(document, "status.conditions", ()))
    yield from more
    yield from _event_lines(events)


def _head(subject: Found) -> list[tuple[str, str]]:
    document, metadata = subject.document, subject.document["metadata"]
    annotations = {name: value for name, value in metadata.get("annotations", {}).items() if name != _HIDDEN_ANNOTATION}
    rows = [
        ("Name", metadata["name"]),
        ("Namespace", metadata.get("namespace", "")),
        ("Kind", f"{document['kind']} ({document['apiVersion']})"),
        *_each("Labels", metadata.get("labels", {})),
        *_each("Annotations", annotations),
        ("Created", f"{metadata.get('creationTimestamp')} ({age(metadata.get('creationTimestamp'))} ago)"),
        ("Deleting since", metadata.get("deletionTimestamp") or ""),
        ("Held by", ", ".join(metadata.get("finalizers", ()))),
        ("Controlled by", ", ".join(f"{owner['kind']}/{owner['name']}" for owner in metadata.get("ownerReferences", ()))),
    ]
    if document["kind"] == "Pod":
        rows += [("Node", at(document, "spec.nodeName")), ("Status", pod_status(document)), ("IPs", pod_addresses(document))]
    return [(name, value) for name, value in rows if value]


def _each(title: str, pairs: Document) -> list[tuple[str, str]]:
    return [(title if number == 0 else "", f"{name}={value}") for number, (name, value) in enumerate(sorted(pairs.items()))]


def _aligned(rows: list[tuple[str, str]]) -> Iterator[str]:
    width = max(len(name) for name, _ in rows) + 1
    for name, value in rows:
        yield f"{f'{name}:' if name else '':<{width}}  {value}"


def _section(name: str, value: Any) -> Iterator[str]:
    if value not in ({}, [], None, ""):
        yield f"{_title(name)}:"
        yield from _tree(value, _STEP)


def _tree(value: Any, indent: str) -> Iterator[str]:
    """Nested values, small ones on their line."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, dict | list) and inner and not _is_short(inner):
                yield f"{indent}{name}:"
                yield from _tree(inner, indent + _STEP)
            else:
                yield f"{indent}{name}: {_short(inner)}"
        return
    for inner in value if isinstance(value, list) else [value]:
        if isinstance(inner, dict):
            first, *rest = list(_tree(inner, indent + _STEP)) or [f"{indent}{_STEP}{{}}"]
            yield f"{indent}- {first.lstrip()}"
            yield from rest
        else:
            yield f"{indent}- {_short(inner)}"


def _is_short(value: Any) -> bool:
    return isinstance(value, list) and all(not isinstance(item, dict | list) for item in value)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if value not in ({}, None) else "none"


def _title(name: str) -> str:
    return name[:1].upper() + name[1:]


def _conditions(conditions: list[Document]) -> Iterator[str]:
    if conditions:
        rows = [[entry["type"], entry["status"], entry.get("reason", ""), entry.get("message", "")] for entry in conditions]
        yield "Conditions:"
        yield from (_STEP + line for line in table_lines([["TYPE", "STATUS", "REASON", "MESSAGE"], *rows]))


def _event_lines(events: list[Document]) -> Iterator[str]:
    if not events:
        yield "Events: none"
        return
    rows = [
        [
            age(event.get("lastTimestamp")),
            event.get("type", ""),
            event.get("reason", ""),
            str(event.get("count", 1)),
            event.get("message", ""),
        ]
        for event in events
    ]
    yield "Events:"
    yield from (_STEP + line for line in table_lines([["AGE", "TYPE", "REASON", "COUNT", "MESSAGE"], *rows]))
