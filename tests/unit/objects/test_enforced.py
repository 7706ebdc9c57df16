from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from agent.objects.enforced import ACTED_ON, not_enforced
from agent.objects.kinds import KINDS


def structs_in(wanted: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        yield wanted
    for argument in typing.get_args(wanted):
        yield from structs_in(argument)


def is_known(wanted: type[msgspec.Struct], path: str) -> bool:
    name, _, rest = path.partition(".")
    field = {known.encode_name: known for known in msgspec.structs.fields(wanted)}.get(name.removesuffix("[]"))
    if field is None:
        return False
    return not rest or any(is_known(inner, rest) for inner in structs_in(field.type))


@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind, paths in ACTED_ON.items() for path in sorted(paths)])
def test_every_path_of_the_table_is_a_field(kind: str, path: str) -> None:
    assert is_known(KINDS[kind].type, path)


def test_every_kind_that_users_write_and_we_act_on_has_a_table() -> None:
    assert set(ACTED_ON) == {info.kind for info in KINDS.values() if info.is_acted_on and not info.is_internal}


def test_what_is_acted_on_is_not_reported() -> None:
    pod = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "hostNetwork": True,
            "containers": [{"name": "a", "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}],
        },
    }
    assert not_enforced("Pod", pod) == []


def test_the_highest_path_is_reported_once_however_many_have_it() -> None:
    containers = [{"name": "a"}, {"name": "b", "tty": True, "lifecycle": {"preStop": {"exec": {}}}}, {"name": "c", "tty": True}]
    assert not_enforced("Pod", {"spec": {"containers": containers, "affinity": {"nodeAffinity": {}}}}) == [
        "spec.containers[1].tty",
        "spec.containers[1].lifecycle",
        "spec.affinity",
    ]


def test_a_part_of_a_field_can_be_acted_on_and_another_not() -> None:
    variables = [{"name": "A", "valueFrom": {"fieldRef": {}}}, {"name": "B", "valueFrom": {"fileKeyRef": {"key": "k"}}}]
    assert not_enforced("Pod", {"spec": {"containers": [{"env": variables}]}}) == ["spec.containers[0].env[1].valueFrom.fileKeyRef"]
