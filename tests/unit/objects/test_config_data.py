"""ConfigMaps and Secrets: what is refused, what is made of them, what may change."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec
import pytest

from agent.errors import InvalidObject
from agent.objects.admit import admit
from agent.objects.config_data import MAX_BYTES, ConfigMap, Secret, problems
from agent.objects.meta import Object


def made(kind: type[Object], **fields: Any) -> Any:
    return msgspec.convert({"metadata": {"name": "x", "namespace": "d"}, **fields}, kind)


@pytest.mark.parametrize(
    ("thing", "problem"),
    [
        (made(ConfigMap, data={"a/b": ""}), 'data: key "a/b" is not a file name'),
        (made(ConfigMap, data={"..a": ""}), 'data: key "..a" is not a file name'),
        (made(ConfigMap, data={"a": ""}, binaryData={"a": ""}), 'data: key "a" is also in binaryData'),
        (made(ConfigMap, data={"a": "x" * (MAX_BYTES + 1)}), "the values are together longer than"),
        (made(Secret, data={"a": "not base64!"}), "data[a]: is not base64"),
        (made(Secret, stringData={"a b": ""}), 'stringData: key "a b" is not a file name'),
    ],
)
def test_what_is_refused(thing: ConfigMap | Secret, problem: str) -> None:
    (found,) = problems(thing)
    assert problem in found
    assert "not base64!" not in found


def test_string_data_becomes_data_and_wins() -> None:
    secret = admit(made(Secret, data={"a": "AA==", "b": "AA=="}, stringData={"a": "plain"}), node_name="n")
    assert secret.data == {"a": b64encode(b"plain").decode(), "b": "AA=="}
    assert secret.string_data == {}


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (made(ConfigMap, data={"a": "1"}, immutable=True), made(ConfigMap, data={"a": "2"}, immutable=True), "data: cannot be changed"),
        (made(ConfigMap, immutable=True), made(ConfigMap), "immutable: cannot be taken back"),
        (made(Secret, type="a"), made(Secret, type="b"), "type: cannot be changed"),
    ],
)
def test_what_cannot_change(old: Object, new: Object, problem: str) -> None:
    with pytest.raises(InvalidObject) as caught:
        admit(new, old, node_name="n")
    assert problem in caught.value.problems[0]


def test_what_is_not_immutable_changes_freely() -> None:
    assert admit(made(ConfigMap, data={"a": "2"}), made(ConfigMap, data={"a": "1"}), node_name="n").data == {"a": "2"}
