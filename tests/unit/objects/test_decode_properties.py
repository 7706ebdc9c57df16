"""Whatever is sent in, the answer is objects that can be stored and read back, or InvalidObject; never a crash."""

from __future__ import annotations

import copy
import json
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import InvalidObject
from agent.objects.decode import decode
from agent.objects.encode import encode, from_record

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "labels": {"app": "web"}, "annotations": {"kubernetes.io/ingress-bandwidth": "1M"}},
    "spec": {
        "hostNetwork": False,
        "dnsConfig": {"nameservers": ["192.0.2.1"], "options": [{"name": "ndots", "value": "2"}]},
        "containers": [
            {
                "name": "web",
                "ports": [{"containerPort": 80, "hostIP": "192.0.2.1", "hostPort": 80}],
                "resources": {"limits": {"cpu": "1", "memory": 1000}},
                "livenessProbe": {"httpGet": {"port": "http"}},
                "env": [{"name": "A", "value": "b"}],
            }
        ],
        "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}],
        "priority": 7,
    },
}

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**62),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", "0", "::", "1Gi"]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=6
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] + [place for key, child in inner for place in places(child, (*path, key))]


def with_value(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.copy(document)
    changed[path[0]] = with_value(document[path[0]], path[1:], value)
    return changed


def survives(text: str) -> None:
    try:
        found = decode(text)
    except InvalidObject:
        return
    for decoded in found:
        assert from_record(decoded.object.kind, encode(decoded.object)) == (decoded.object, {})


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(places(POD)), VALUES, st.sampled_from([json.dumps, yaml.safe_dump]))
def test_any_value_at_any_place(path: tuple[Any, ...], value: Any, write: Any) -> None:
    survives(write(with_value(POD, path, value)))


@settings(max_examples=200, deadline=None)
@given(VALUES, st.sampled_from([json.dumps, yaml.safe_dump]))
def test_anything_in_a_kind_without_a_type(value: Any, write: Any) -> None:
    survives(write({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": value}))


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    survives(text)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["a", ":", " ", "\n", "- ", "{", "}", "[", "]", '"', "&x ", "*x", "!!str ", "<<", "|", "1", "~", "---\n", "\\ud800", "#", ","]
        )
    )
)
def test_text_that_looks_like_yaml(words: list[str]) -> None:
    survives("".join(words))
