"""Which fields random worlds held, and which none of them had: a generator that never writes a field proves nothing of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from agent.objects.kinds import KINDS
from agent.policy.gather import POLICY_KINDS

Document = dict[str, Any]


_NOT_MADE = ("services", "http", "metadata", "domainNames", "performanceHints", "preDNAT", "nodes", "].name", "from[].networks")
"""Refused at apply, or without a meaning for a pod's packets (a rule's name); `nodes` need Node objects, here are none."""


@dataclass
class Coverage:
    """Paths of fields by kind, such as "NetworkPolicy spec.ingress[].ports[].endPort", and how many worlds had each."""

    seen: Counter[str] = field(default_factory=Counter)
    worlds: int = 0

    def add(self, documents: Iterable[Document]) -> None:
        self.worlds += 1
        self.seen.update({f"{_kind(document)} {path}" for document in documents for path in _paths(document.get("spec", {}), "spec")})

    def missing(self) -> list[str]:
        """Fields of policy objects that no world had, but for those that cannot matter here."""
        every = {f"{kind} {path}" for kind in POLICY_KINDS for path in _fields(KINDS[kind].type, "") if path.startswith("spec.")}
        return sorted(path for path in every - self.seen.keys() if not any(word in path for word in _NOT_MADE))

    def __str__(self) -> str:
        rarest = sorted(self.seen.items(), key=lambda item: item[1])[:5]
        lines = [f"{self.worlds} worlds held {len(self.seen)} different fields; rarest: {', '.join(f'{path} ({n})' for path, n in rarest)}"]
        return "\n".join([*lines, *(f"never: {path}" for path in self.missing())])


def _kind(document: Document) -> str:
    is_calico = document["kind"] == "NetworkPolicy" and "projectcalico" in document["apiVersion"]
    return "CalicoNetworkPolicy" if is_calico else str(document["kind"])


def _paths(value: Any, path: str) -> Iterator[str]:
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _paths(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner, f"{path}[]")


def _fields(wanted: Any, path: str) -> Iterator[str]:
    """Every field of a type at any depth, lists as `[]`; maps are not entered."""
    for known in msgspec.structs.fields(wanted):
        here = f"{path}.{known.encode_name}".lstrip(".")
        yield here
        for inner, suffix in _structs(known.type):
            yield from _fields(inner, here + suffix)


def _structs(wanted: Any) -> Iterator[tuple[Any, str]]:
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        yield wanted, ""
        return
    suffix = "[]" if getattr(wanted, "__origin__", None) is tuple else ""
    for argument in getattr(wanted, "__args__", ()):
        for inner, deeper in _structs(argument):
            yield inner, suffix + deeper
