"""YAML and JSON text to plain documents, by Kubernetes' rules rather than PyYAML's.

Duplicate keys are errors with their line: the last one would win in silence. Unquoted scalars keep their text
(scalar.py), so that a later complaint can quote it. Whatever leaves here can be written as JSON again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from agent.errors import InvalidObject
from agent.objects.scalar import Plain, number, resolve

_MAX_NODES = 1_000_000
"""Aliases can make a short text unfold without end."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_TAG = "tag:yaml.org,2002:"
_SCALAR_TAGS = frozenset(_TAG + name for name in ("str", "null", "bool", "int", "float", "timestamp", "value", "merge"))
_IMPLICIT = yaml.resolver.Resolver()


@dataclass(frozen=True, slots=True)
class Document:
    """`line` is where it starts in the text, from 1."""

    value: Any
    line: int


def documents(text: str, source: str) -> list[Document]:
    """Every document that is not empty. Raises InvalidObject that names the source and the line."""
    if text.lstrip().startswith(("{", "[")):
        found = _json(text, source)
        if found is not None:
            return [found]
    return list(_yaml(text, source))


def _json(text: str, source: str) -> Document | None:
    """None when it is not JSON: a flow mapping of YAML looks like it."""

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise InvalidObject(f'cannot read {source}: key "{twice}" is there twice in one mapping')
        return found

    try:
        value = json.loads(text, object_pairs_hook=mapping, parse_int=_number, parse_float=_number, parse_constant=_number)
    except (ValueError, RecursionError):
        return None
    if _SURROGATE.search(text):
        _refuse_half_characters(value, source)
    return Document(value, 1)


def _number(text: str) -> int | float:
    value = number(text)
    if value is None:
        raise ValueError(f"{text} cannot be stored")
    return value


def _refuse_half_characters(value: Any, source: str) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidObject(f"cannot read {source}: it has half a character (\\ud800 to \\udfff without its partner)") from None


def _yaml(text: str, source: str) -> Iterator[Document]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            assert isinstance(node, yaml.Node)
            value = _Builder(source).build(node)
            if value is not None and not (isinstance(value, Plain) and value.value is None):
                yield Document(value, node.start_mark.line + 1)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}, line {mark.line + 1}" if mark else source
        raise InvalidObject(f"cannot read {where}: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise InvalidObject(f"cannot read {source}: {error}") from None
    except RecursionError:
        raise InvalidObject(f"cannot read {source}: it is nested too deeply") from None
    finally:
        loader.dispose()


class _Builder:
    """Nodes of one document to values."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._left = _MAX_NODES
        self._open: set[int] = set()

    def build(self, node: yaml.Node) -> Any:
        self._left -= 1
        if self._left < 0:
            raise self._error(node, f"it has more than {_MAX_NODES} values once its aliases are unfolded")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if id(node) in self._open:
            raise self._error(node, "an alias refers to what it is part of")
        self._open.add(id(node))
        value = self._mapping(node) if isinstance(node, yaml.MappingNode) else [self.build(item) for item in node.value]
        self._open.discard(id(node))
        return value

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge":
                merged = {**self._merge(value_node), **merged}
                continue
            key = self._key(key_node)
            if key in found:
                raise self._error(key_node, f'key "{key}" is there twice in one mapping')
            found[key] = self.build(value_node)
        return {**merged, **found}

    def _merge(self, node: yaml.Node) -> dict[str, Any]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                raise self._error(source, '"<<" wants a mapping or a list of mappings')
            merged = {**self.build(source), **merged}
        return merged

    def _key(self, node: yaml.Node) -> str:
        value = self.build(node)
        if isinstance(value, str):
            return value
        if isinstance(value, Plain) and isinstance(value.value, int | float) and not isinstance(value.value, bool):
            return value.text
        text = value.text if isinstance(value, Plain) else "a mapping or list"
        raise self._error(node, f'key {text or "(empty)"} is not a string; quote it: "{text}"')

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text: str = node.value
        if node.tag not in _SCALAR_TAGS:
            raise self._error(node, f"tag {node.tag} is not supported")
        if node.style or _is_tagged_string(node):
            return text
        return resolve(text) or text

    def _error(self, node: yaml.Node, problem: str) -> InvalidObject:
        return InvalidObject(f"cannot read {self._source}, line {node.start_mark.line + 1}: {problem}")


def _is_tagged_string(node: yaml.ScalarNode) -> bool:
    """`!!str 8080`: PyYAML says string where it would have said number by itself."""
    implied: str = _IMPLICIT.resolve(yaml.ScalarNode, node.value, (True, False))  # type: ignore[no-untyped-call]
    return bool(node.tag == f"{_TAG}str" != implied)
