"""Which objects of a list or watch are wanted: `labelSelector` and `fieldSelector`.

Field selectors name a fixed set of fields per kind, as in Kubernetes; another one is an error that lists them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from agent.errors import InvalidObject
from agent.objects.encode import to_document
from agent.objects.meta import Object
from agent.objects.selector import parse_selector

Predicate = Callable[[Object], bool]

_METADATA = ("metadata.name", "metadata.namespace")
_FIELDS = {
    "Pod": ("spec.nodeName", "status.phase"),
    "Event": ("involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid", "reason", "type"),
}
_TERM = re.compile(r"([^=!]+?)\s*(==|=|!=)\s*(.*)")


def predicate(kind: str, query: Mapping[str, str]) -> Predicate | None:
    """Whether an object is wanted; None when everything is. Raises InvalidObject."""
    tests: list[Predicate] = []
    if text := query.get("labelSelector", ""):
        selector = parse_selector(text)
        tests.append(lambda candidate: selector.matches(candidate.metadata.labels))
    tests += [_field_test(kind, term.strip()) for term in query.get("fieldSelector", "").split(",") if term.strip()]
    if not tests:
        return None
    return lambda candidate: all(test(candidate) for test in tests)


def _field_test(kind: str, term: str) -> Predicate:
    known = _METADATA + _FIELDS.get(kind, ())
    found = _TERM.fullmatch(term)
    if found is None or found[1] not in known:
        raise InvalidObject(f'cannot use fieldSelector "{term}": {kind} has {", ".join(known)}', hint="write FIELD=VALUE or FIELD!=VALUE")
    field, is_wanted, value = found[1], found[2] != "!=", found[3]
    if field in _METADATA:
        name = field.removeprefix("metadata.")
        return lambda candidate: (getattr(candidate.metadata, name) == value) is is_wanted
    steps = field.split(".")
    return lambda candidate: (_text_at(to_document(candidate), steps) == value) is is_wanted


def _text_at(document: Any, steps: list[str]) -> str:
    for step in steps:
        if not isinstance(document, dict):
            return ""
        document = document.get(step)
    return "" if document is None else str(document)
