from __future__ import annotations

from dataclasses import replace as at
from datetime import UTC, datetime
from ipaddress import IPv4Address

import pytest
from msgspec.structs import replace

from agent.errors import AlreadyExists, Conflict, NotFound
from agent.objects.meta import ObjectMeta
from agent.objects.opaque import Opaque
from agent.objects.pod import Pod
from agent.objects.pod_status import PodStatus
from agent.store.base import EventType
from agent.store.change import Stamp, created, deleted, updated
from tests.unit.store.sample import labelled, pod, pod_key, without_finalizers

NOW = Stamp(7, datetime(2024, 5, 1, 12, 0, 0, tzinfo=UTC), "uid-1")
LATER = at(NOW, resource_version=8, now=datetime(2024, 5, 1, 12, 0, 5, tzinfo=UTC), uid="uid-2")


def stored(thing: Pod | None = None) -> Pod:
    new = created(thing or pod(), None, NOW).new
    assert isinstance(new, Pod)
    return new


def test_creation_gives_an_identity() -> None:
    change = created(labelled(pod(), app="web"), None, NOW)
    assert change.new is change.result
    assert change.event is not None
    assert change.event.type is EventType.ADDED
    assert stored().metadata == ObjectMeta(
        name="web", namespace="default", uid="uid-1", resource_version="7", generation=1, creation_timestamp="2024-05-01T12:00:00Z"
    )


def test_a_caller_cannot_choose_the_identity() -> None:
    forged = replace(pod(), metadata=replace(pod().metadata, uid="mine", generation=9, deletion_timestamp="2024-01-01T00:00:00Z"))
    assert stored(forged).metadata == stored().metadata


def test_what_exists_is_not_created_again() -> None:
    with pytest.raises(AlreadyExists, match="pod default/web already exists"):
        created(pod(), stored(), LATER)


def test_an_update_keeps_the_identity() -> None:
    change = updated(labelled(pod(), app="web"), stored(), LATER)
    assert change.new is not None
    assert change.new.metadata == replace(stored().metadata, labels={"app": "web"}, resource_version="8")
    assert change.event is not None
    assert (change.event.type, change.event.old) == (EventType.MODIFIED, stored())


def test_generation_counts_changes_of_what_is_wanted() -> None:
    status = replace(stored(), status=PodStatus(host_ip=IPv4Address("192.0.2.1")))
    for changed, generation in ((labelled(stored(), a="b"), 1), (status, 1), (pod(image="nginx"), 2)):
        new = updated(changed, stored(), LATER).new
        assert new is not None
        assert new.metadata.generation == generation


def test_generation_of_a_kind_without_a_type_leaves_its_status_out() -> None:
    service = Opaque(api_version="v1", kind="Service", metadata=ObjectMeta(name="web"), rest={"spec": {"a": 1}})
    old = created(service, None, NOW).new
    for rest, generation in (({"spec": {"a": 1}, "status": {}}, 1), ({"spec": {"a": 2}}, 2)):
        new = updated(replace(service, rest=rest), old, LATER).new
        assert new is not None
        assert new.metadata.generation == generation


def test_an_update_that_changes_nothing_is_no_write() -> None:
    change = updated(pod(), stored(), LATER)
    assert (change.event, change.result) == (None, stored())


def test_a_stale_version_is_a_conflict_and_no_version_is_none() -> None:
    old = replace(stored(), metadata=replace(stored().metadata, resource_version="6"))
    with pytest.raises(Conflict, match="version 6 was read, it is 7 now"):
        updated(labelled(old, app="web"), stored(), LATER)
    assert updated(labelled(pod(), app="web"), stored(), LATER).event is not None


def test_an_object_that_was_created_again_is_not_the_one_that_was_read() -> None:
    stale = replace(pod(), metadata=replace(pod().metadata, uid="uid-0"))
    with pytest.raises(Conflict, match="deleted and created again"):
        updated(stale, stored(), LATER)


def test_what_does_not_exist_cannot_be_updated() -> None:
    with pytest.raises(NotFound, match="pod default/web does not exist"):
        updated(pod(), None, NOW)


def test_without_finalizers_deletion_removes() -> None:
    change = deleted(pod_key(), stored(), LATER)
    assert change.new is None
    assert change.event is not None
    assert change.event.type is EventType.DELETED
    assert change.event.object.metadata.resource_version == "8"
    assert change.event.old == stored()


def test_with_finalizers_deletion_is_a_request() -> None:
    change = deleted(pod_key(), stored(pod(finalizers=("a",))), LATER, grace_period_s=30)
    assert change.new is not None
    assert change.new.metadata.deletion_timestamp == "2024-05-01T12:00:35Z"
    assert change.new.metadata.deletion_grace_period_seconds == 30
    assert change.event is not None
    assert change.event.type is EventType.MODIFIED


def leaving() -> Pod:
    new = deleted(pod_key(), stored(pod(finalizers=("a",))), LATER, grace_period_s=30).new
    assert isinstance(new, Pod)
    return new


def test_a_second_deletion_only_shortens_the_grace_period() -> None:
    for grace, is_write in ((None, False), (30, False), (60, False), (0, True)):
        assert (deleted(pod_key(), leaving(), LATER, grace_period_s=grace).event is not None) is is_write


def test_the_last_finalizer_takes_the_object_with_it() -> None:
    change = updated(without_finalizers(leaving()), leaving(), LATER)
    assert change.new is None
    assert change.event is not None
    assert change.event.type is EventType.DELETED


def test_an_update_cannot_take_a_deletion_back() -> None:
    change = updated(labelled(pod(finalizers=("a",)), app="web"), leaving(), LATER)
    assert change.new is not None
    assert change.new.metadata.deletion_timestamp == "2024-05-01T12:00:35Z"


@pytest.mark.parametrize("current", [None, stored()])
def test_deleting_what_is_gone_is_success(current: Pod | None) -> None:
    change = deleted(pod_key(), current, LATER, uid="another")
    assert (change.event, change.result) == (None, None)
