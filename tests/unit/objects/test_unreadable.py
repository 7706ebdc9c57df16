"""A policy in the store that this version cannot understand: kept, marked, shown, and replaced by a good one."""

from __future__ import annotations

import json

import pytest

from agent.objects.encode import encode, from_record, to_document
from agent.objects.meta import Key
from agent.objects.network_policy import NetworkPolicy
from agent.objects.unreadable import Unreadable


def stored(spec: object, **more: object) -> bytes:
    document = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "a", "namespace": "n"}, "spec": spec}
    return json.dumps({**document, **more}).encode()


def test_what_an_earlier_version_kept_untyped_is_typed_now() -> None:
    record = from_record("NetworkPolicy", stored({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}))
    assert isinstance(record.object, NetworkPolicy)
    assert len(record.object.spec.ingress) == 1


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"podSelector": 5}, "spec.podSelector: expected a mapping, got the integer 5"),
        ({"podSelector": {}, "ingress": [{"from": [{"zone": "a"}]}]}, "spec.ingress[0].from[0].zone: unknown field"),
        ({"ingress": [{"ports": [{"protocol": "ICMP"}]}]}, "spec.ingress[0].ports[0].protocol: expected TCP, UDP or SCTP"),
    ],
)
def test_what_cannot_be_understood_is_kept_as_it_came(spec: object, reason: str) -> None:
    body = stored(spec)
    kept = from_record("NetworkPolicy", body).object
    assert isinstance(kept, Unreadable)
    assert kept.reason.startswith(reason)
    assert to_document(kept) == json.loads(body)
    assert json.loads(encode(kept)) == json.loads(body)


def test_a_status_or_label_of_a_newer_version_is_no_reason() -> None:
    record = from_record("NetworkPolicy", stored({"podSelector": {}}, status={"novel": 1}))
    assert isinstance(record.object, NetworkPolicy)
    assert json.loads(encode(*record))["status"] == {"novel": 1}


def test_it_is_found_under_the_kind_it_was_stored_as() -> None:
    body = stored({"selector": "all()", "novel": 1}, apiVersion="projectcalico.org/v3")
    assert from_record("CalicoNetworkPolicy", body).object.key == Key("CalicoNetworkPolicy", "n", "a")
