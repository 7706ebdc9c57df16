"""A program's variables: from the pod's fields, its resources, and other variables."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agent.objects.meta import decode_hook
from agent.objects.pod import Pod
from agent.objects.quantity import Quantity
from agent.sandbox.environment import environment

ROOM = {"cpu": Quantity.parse("2"), "memory": Quantity.parse("4Gi")}


def pod(container: dict[str, Any]) -> Pod:
    tree = {
        "metadata": {"name": "web", "namespace": "shop", "uid": "u", "labels": {"app": "web"}, "annotations": {"a/b": "c"}},
        "spec": {
            "containers": [{"name": "app", **container}, {"name": "side", "resources": {"limits": {"memory": "1Gi"}}}],
            "nodeName": "n1",
        },
        "status": {
            "podIP": "10.0.0.2",
            "podIPs": [{"ip": "10.0.0.2"}, {"ip": "fd00::2"}],
            "hostIP": "192.0.2.1",
            "hostIPs": [{"ip": "192.0.2.1"}],
        },
    }
    return msgspec.convert(tree, Pod, dec_hook=decode_hook)


def value_of(source: dict[str, Any], **container: Any) -> str | None:
    found = pod({"env": [{"name": "X", "valueFrom": source}], **container})
    made, _ = environment(found, found.spec.containers[0], defaults={}, wanted={}, room=ROOM)
    return made.get("X")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metadata.name", "web"),
        ("metadata.labels['app']", "web"),
        ("metadata.labels['absent']", ""),
        ("metadata.annotations['a/b']", "c"),
        ("spec.nodeName", "n1"),
        ("spec.serviceAccountName", "default"),
        ("status.podIP", "10.0.0.2"),
        ("status.podIPs", "10.0.0.2,fd00::2"),
        ("status.hostIPs", "192.0.2.1"),
    ],
)
def test_a_field_of_the_pod(field: str, value: str) -> None:
    assert value_of({"fieldRef": {"fieldPath": field}}) == value


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ({"resource": "limits.cpu"}, "1"),  # 500m, rounded up
        ({"resource": "limits.cpu", "divisor": "1m"}, "500"),
        ({"resource": "requests.cpu", "divisor": "1m"}, "500"),  # none was given: the limit
        ({"resource": "limits.memory", "divisor": "1Mi"}, "4096"),  # no limit: all that the node has
        ({"resource": "limits.memory", "containerName": "side"}, str(1 << 30)),
        ({"resource": "requests.memory"}, "0"),
    ],
)
def test_a_resource_of_a_container(reference: dict[str, str], value: str) -> None:
    assert value_of({"resourceFieldRef": reference}, resources={"limits": {"cpu": "500m"}}) == value


def test_variables_build_on_earlier_ones_and_the_callers_win() -> None:
    found = pod({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2 $$(A) $(LATER)"}]})
    made, warnings = environment(found, found.spec.containers[0], defaults={"HOME": "/"}, wanted={"A": "9"}, room={})
    assert (made["A"], made["B"], made["HOME"], warnings) == ("9", "12 $(A) $(LATER)", "/", ())
