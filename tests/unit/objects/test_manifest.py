from __future__ import annotations

import pytest

from agent.errors import InvalidObject
from agent.objects.manifest import documents
from agent.objects.scalar import Plain, plain


def one(text: str) -> object:
    (document,) = documents(text, "web.yaml")
    return document.value


def test_documents_know_where_they_start_and_empty_ones_are_skipped() -> None:
    found = documents("a: b\n---\n---\n# nothing\n---\nc: d\n", "web.yaml")
    assert [(document.value, document.line) for document in found] == [({"a": "b"}, 1), ({"c": "d"}, 6)]


def test_json_is_read_too() -> None:
    assert one('{"a": [1, "b", null, true]}') == {"a": [1, "b", None, True]}


def test_a_flow_mapping_that_is_not_json_is_yaml() -> None:
    assert one("{a: b}") == {"a": "b"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("Off", False),
        ("TRUE", True),
        ("null", None),
        ("~", None),
        ("8080", 8080),
        ("-1", -1),
        ("0755", 493),
        ("0o755", 493),
        ("0x1F", 31),
        ("0b11", 3),
        ("1e3", 1000.0),
        ("1.10", 1.1),
        (".5", 0.5),
    ],
)
def test_an_unquoted_scalar_keeps_its_text(text: str, value: object) -> None:
    assert one(f"x: {text}") == {"x": Plain(value, text)}


@pytest.mark.parametrize(
    "text", ['"yes"', "'8080'", "12:30:45", "2024-01-01", "1.2.3", "y", "0.5Gi", "1_000", "=", "!!str 8080", "|-\n  true", "100m", "09x"]
)
def test_a_quoted_scalar_and_what_only_yaml_1_1_took_for_a_number_are_strings(text: str) -> None:
    (value,) = documents(f"x: {text}\n", "web.yaml")[0].value.values()
    assert isinstance(value, str)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 'web.yaml, line 3: key "a" is there twice in one mapping'),
        ("x:\n  on: push\n", 'web.yaml, line 2: key on is not a string; quote it: "on"'),
        ("a: b\n c: d\n", "web.yaml, line 2: mapping values are not allowed"),
        ("a: [b\n", "web.yaml, line 2:"),
        ("a: *missing\n", "web.yaml, line 1: found undefined alias"),
        ("a: !foo b\n", "web.yaml, line 1: tag !foo is not supported"),
        ("a: &x {b: *x}\n", "web.yaml, line 1: an alias refers to what it is part of"),
        ("a: \x07\n", "web.yaml"),
        ('{"a": 1, "a": 2}', 'web.yaml: key "a" is there twice'),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(InvalidObject) as refusal:
        documents(text, "web.yaml")
    assert message in refusal.value.message


def test_numbers_as_keys_keep_their_text() -> None:
    assert plain(one("8080: a\n1.10: b\n")) == {"8080": "a", "1.10": "b"}


def test_anchors_and_merge_keys_work_and_own_keys_win() -> None:
    text = "base: &base {a: x, b: y}\nmore: &more {b: z, c: w}\nall: {<<: [*base, *more], a: own}\n"
    assert one(text) == {"base": {"a": "x", "b": "y"}, "more": {"b": "z", "c": "w"}, "all": {"a": "own", "b": "y", "c": "w"}}


def test_aliases_cannot_unfold_without_end() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 9)
    )
    with pytest.raises(InvalidObject, match="values once its aliases are unfolded"):
        documents(bomb, "bomb.yaml")


def test_endless_nesting_is_refused_and_not_a_crash() -> None:
    with pytest.raises(InvalidObject):
        documents("[" * 100_000, "deep.yaml")
