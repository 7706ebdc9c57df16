"""Two documents become one."""

from __future__ import annotations

from typing import Any

import pytest

from agent.api.patch import merge_patch, three_way


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [  # the examples of RFC 7386, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result


def test_a_merge_patch_leaves_its_target_alone() -> None:
    target = {"a": {"b": 1}}
    merge_patch(target, {"a": {"b": 2, "c": 3}})
    assert target == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("last", "wanted", "live", "result"),
    [
        pytest.param({"a": 1}, {"a": 2}, {"a": 1}, {"a": 2}, id="the manifest wins"),
        pytest.param({"a": 1, "b": 1}, {"a": 1}, {"a": 1, "b": 1}, {"a": 1}, id="what it no longer says goes"),
        pytest.param({"a": 1}, {"a": 1}, {"a": 1, "b": 9}, {"a": 1, "b": 9}, id="what it never said stays"),
        pytest.param({}, {"a": 1}, {"a": 5, "b": 9}, {"a": 1, "b": 9}, id="never applied before: nothing goes"),
        pytest.param(
            {"l": {"app": "x"}}, {}, {"l": {"app": "x", "added": "y"}}, {"l": {"added": "y"}}, id="a section goes but for others' part"
        ),
        pytest.param({"l": {"app": "x"}}, {}, {"l": {"app": "x"}}, {}, id="an empty section does not linger"),
        pytest.param({"v": {}}, {"v": {"emptyDir": {}}}, {}, {"v": {"emptyDir": {}}}, id="an empty object is a value"),
        pytest.param({"c": [1, 2]}, {"c": [2]}, {"c": [1, 2, 3]}, {"c": [2]}, id="lists are values"),
    ],
)
def test_three_way(last: Any, wanted: Any, live: Any, result: Any) -> None:
    assert three_way(last, wanted, live) == result
