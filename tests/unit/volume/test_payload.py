"""What the files of configMap, secret, downwardAPI and projected volumes hold."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agent.errors import InvalidObject, NotFound, Unsupported
from agent.objects.config_data import ConfigMap, Secret
from agent.objects.meta import ObjectMeta, decode_hook
from agent.objects.pod import Pod
from agent.objects.quantity import Quantity
from agent.objects.volumes import Volume
from agent.volume.payload import Content, payload_of, references

ROOM = {"cpu": Quantity.parse("4"), "memory": Quantity.parse("8Gi")}
THINGS = {
    ("ConfigMap", "web"): ConfigMap(metadata=ObjectMeta(name="web"), data={"a": "1", "b": "2"}, binary_data={"raw": "AAE="}),
    ("Secret", "login"): Secret(metadata=ObjectMeta(name="login"), data={"user": "bWU=", "key": "czNjcjN0"}),
}


def pod(**container: Any) -> Pod:
    tree = {
        "metadata": {"name": "p", "namespace": "shop", "labels": {"app": "x"}, "annotations": {"note": 'say "hi"\nbye'}},
        "spec": {"containers": [{"name": "c", **container}]},
    }
    return msgspec.convert(tree, Pod, dec_hook=decode_hook)


def files(source: dict[str, Any], of: Pod | None = None) -> dict[str, Content]:
    return dict(payload_of(volume(source), of or pod(), lambda kind, name: THINGS.get((kind, name)), ROOM))


def volume(source: dict[str, Any]) -> Volume:
    return msgspec.convert({"name": "v", **source}, Volume, dec_hook=decode_hook)


def test_every_key_is_a_file_with_the_default_mode() -> None:
    found = files({"configMap": {"name": "web", "defaultMode": 0o400}})
    assert found == {"a": Content(b"1", 0o400), "b": Content(b"2", 0o400), "raw": Content(b"\0\1", 0o400)}


def test_items_choose_paths_and_modes() -> None:
    found = files({"secret": {"secretName": "login", "items": [{"key": "key", "path": "deep/k", "mode": 0o600}]}})
    assert found == {"deep/k": Content(b"s3cr3t", 0o600)}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMap": {"name": "no"}}, "configmap no does not exist"),
        ({"secret": {"secretName": "no"}}, "secret no does not exist"),
        ({"configMap": {"name": "web", "items": [{"key": "no", "path": "x"}]}}, "configmap web has no key no"),
        ({"projected": {"sources": [{"secret": {"name": "no"}}]}}, "secret no does not exist"),
    ],
)
def test_what_is_missing_is_named_unless_it_is_optional(source: dict[str, Any], message: str) -> None:
    with pytest.raises(NotFound, match=message):
        files(source)
    (inner,) = source.values()
    (inner["sources"][0]["secret"] if "sources" in inner else inner)["optional"] = True
    assert files(source) == {}


@pytest.mark.parametrize("path", ["/x", "../x", "a/../b", "..x", "", "a//b", "./a", "a" * 256, "a/" * 2100 + "a"])
def test_a_path_stays_in_the_volume(path: str) -> None:
    with pytest.raises(InvalidObject, match="cannot be a file of a volume"):
        files({"configMap": {"name": "web", "items": [{"key": "a", "path": path}]}})


def test_the_last_source_of_a_path_wins() -> None:
    down = {"items": [{"path": "a", "fieldRef": {"fieldPath": "metadata.name"}}]}
    assert files({"projected": {"sources": [{"configMap": {"name": "web"}}, {"downwardAPI": down}]}})["a"].data == b"p"


def test_a_token_needs_a_cluster() -> None:
    with pytest.raises(Unsupported, match="serviceAccountToken"):
        files({"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}})


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"fieldRef": {"fieldPath": "metadata.namespace"}}, "shop"),
        ({"fieldRef": {"fieldPath": "metadata.labels"}}, 'app="x"'),
        ({"fieldRef": {"fieldPath": "metadata.annotations"}}, 'note="say \\"hi\\"\\nbye"'),
        ({"fieldRef": {"fieldPath": "metadata.annotations['note']"}}, 'say "hi"\nbye'),
        ({"resourceFieldRef": {"containerName": "c", "resource": "limits.cpu"}}, "1"),
        ({"resourceFieldRef": {"containerName": "c", "resource": "limits.cpu", "divisor": "1m"}}, "250"),
        ({"resourceFieldRef": {"containerName": "c", "resource": "requests.memory", "divisor": "1Mi"}}, "0"),
        ({"resourceFieldRef": {"containerName": "c", "resource": "limits.memory", "divisor": "1Gi"}}, "8"),
    ],
)
def test_the_downward_api(reference: dict[str, Any], expected: str) -> None:
    of = pod(resources={"limits": {"cpu": "250m"}})
    assert files({"downwardAPI": {"items": [{"path": "f", **reference}]}}, of)["f"].data.decode() == expected


def test_references_are_what_an_update_is_heard_of() -> None:
    sources = [{"secret": {"name": "s"}}, {"configMap": {"name": "c"}}, {"downwardAPI": {}}]
    assert references(volume({"projected": {"sources": sources}})) == {("Secret", "s"), ("ConfigMap", "c")}
    assert references(volume({"emptyDir": {}})) == frozenset()


def test_nothing_prints_a_secret() -> None:
    shown = repr(THINGS["Secret", "login"]) + repr(files({"secret": {"secretName": "login"}}))
    assert "s3cr3t" not in shown
    assert "czNjcjN0" not in shown
