from __future__ import annotations

import json
from textwrap import dedent

import pytest

from agent.errors import InternalError
from agent.objects.attachment import Attachment
from agent.objects.decode import decode
from agent.objects.encode import encode, from_record, to_document
from agent.objects.meta import Object
from agent.objects.namespace import Namespace
from agent.objects.pod import Pod

POD = """
    apiVersion: v1
    kind: Pod
    metadata: {name: web, namespace: shop}
    spec:
      containers:
      - {name: web, command: [sleep, inf], resources: {limits: {memory: 1024Mi}}}
      - {name: side}
    status: {podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}], hostIP: 192.0.2.1}
"""
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {clusterIP: None}\nstatus: {loadBalancer: {}}\n"


def only(text: str) -> Object:
    (decoded,) = decode(dedent(text))
    return decoded.object


def test_the_type_comes_first_and_defaults_are_left_out() -> None:
    document = to_document(only(POD))
    assert list(document) == ["apiVersion", "kind", "metadata", "spec", "status"]
    assert document["spec"] == {
        "containers": [{"name": "web", "command": ["sleep", "inf"], "resources": {"limits": {"memory": "1Gi"}}}, {"name": "side"}]
    }
    assert document["status"] == {"hostIP": "192.0.2.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}


def test_an_object_without_a_value_still_says_what_it_is() -> None:
    assert to_document(Namespace()) == {"apiVersion": "v1", "kind": "Namespace", "metadata": {}}


@pytest.mark.parametrize("text", [POD, SERVICE])
def test_what_is_encoded_is_read_back(text: str) -> None:
    thing = only(text)
    assert from_record(thing.kind, encode(thing)) == (thing, {})
    assert only(encode(thing).decode()) == thing


def test_the_agents_own_records_are_read_back() -> None:
    attachment = Attachment(network="podwright", container_id="c", ifname="eth0")
    assert from_record("Attachment", encode(attachment)).object == attachment


def test_fields_of_another_version_are_carried_through_a_change() -> None:
    written = to_document(only(POD))
    written["spec"]["futureField"] = {"a": [1, None]}
    written["spec"]["containers"][1]["later"] = True
    written["metadata"]["labels"] = {"app.io/a": "b"}
    written["topLevel"] = "x"

    record = from_record("Pod", json.dumps(written).encode())

    assert isinstance(record.object, Pod)
    assert record.object.spec.containers[1].name == "side"
    assert json.loads(encode(record.object, record.unplaced)) == written


def test_what_stood_in_an_element_that_is_gone_goes_with_it() -> None:
    thing = only(POD)
    body = json.loads(encode(thing, {"spec.containers[7].later": True, "spec.containers[1].later": True}))
    assert [container.get("later") for container in body["spec"]["containers"]] == [None, True]


def test_a_record_that_means_something_else_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(InternalError, match="cannot read a stored Pod"):
        from_record("Pod", b'{"metadata": {"name": "a"}, "spec": {"containers": 7}}')
    with pytest.raises(InternalError, match="cannot read a stored Pod"):
        from_record("Pod", b'{"metadata"')
