"""A volume from the claim that had it made to the last byte; and the same with an end after every write."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from agent.errors import Conflict, Exhausted, InternalError, InvalidObject
from agent.objects.claim import PersistentVolumeClaimSpec, VolumeResources
from agent.objects.meta import Key, ObjectMeta
from agent.objects.persistent_volume import STORAGE, ReclaimPolicy, VolumePhase
from agent.objects.persistent_volume_claim import ClaimPhase, ResizeStatus
from agent.objects.quantity import Quantity
from agent.objects.storage_class import VolumeAttributesClass
from agent.objects.volumes import ClaimTemplate, EphemeralVolume, Volume
from tests.unit.controllers_storage.places import DRIVER, RWO, Place, claim, pod, storage_class, waiting_class

GI = 1 << 30


def provisioned(**fields: object) -> Place:
    place = Place(storage_class(**fields), claim(storage_class_name="fast"))
    place.settle()
    return place


def test_a_class_makes_a_volume_for_a_claim() -> None:
    place = provisioned()
    volume = place.made_volume()
    assert place.claim().status.phase is ClaimPhase.BOUND
    assert volume.status.phase is VolumePhase.BOUND
    assert volume.spec.persistent_volume_reclaim_policy is ReclaimPolicy.DELETE
    assert place.storage.made == {volume.metadata.name: GI}


def test_a_volume_of_a_waiting_class_is_made_for_the_first_pod() -> None:
    place = Place(waiting_class(), claim(storage_class_name="lazy"))
    place.settle()
    assert not place.storage.made
    place.add(pod())
    place.settle()
    assert place.claim().status.phase is ClaimPhase.BOUND


def test_storage_and_record_go_with_the_claim() -> None:
    place = provisioned()
    place.store.delete(place.claim().key)
    place.settle()
    assert place.volumes() == []
    assert place.storage.made == {}


def test_retained_storage_stays() -> None:
    place = provisioned(reclaim_policy=ReclaimPolicy.RETAIN)
    name = place.made_volume().metadata.name
    place.store.delete(place.claim().key)
    place.settle()
    assert place.volume(name).status.phase is VolumePhase.RELEASED
    assert name in place.storage.made


def test_the_policy_counts_as_it_is_when_the_claim_goes() -> None:
    place = provisioned()
    volume = place.made_volume()
    place.change(volume, spec=replace(volume.spec, persistent_volume_reclaim_policy=ReclaimPolicy.RETAIN))
    place.store.delete(place.claim().key)
    place.settle()
    assert volume.metadata.name in place.storage.made


def test_a_volume_in_use_is_deleted_later() -> None:
    place = provisioned()
    name = place.made_volume().metadata.name
    place.storage.refuses["delete"] = Conflict("volume is mounted")
    place.store.delete(place.claim().key)
    place.settle()
    assert place.volume(name).status.phase is VolumePhase.RELEASED
    place.storage.refuses.clear()
    place.settle()
    assert place.volumes() == []


def test_a_volume_that_cannot_be_deleted_is_failed_and_tried_again() -> None:
    place = provisioned()
    name = place.made_volume().metadata.name
    place.storage.refuses["delete"] = InternalError("disk is on fire")
    place.store.delete(place.claim().key)
    place.settle()
    failed = place.volume(name)
    assert (failed.status.phase, failed.status.message) == (VolumePhase.FAILED, "disk is on fire")
    place.storage.refuses.clear()
    place.settle()
    assert place.volumes() == []


def test_a_volume_deleted_before_its_claim_takes_its_storage_along_when_the_claim_goes() -> None:
    place = provisioned()
    volume = place.made_volume()
    place.store.delete(volume.key)
    place.settle()
    assert place.volume(volume.metadata.name).metadata.deletion_timestamp, "it waits for its claim"
    place.store.delete(place.claim().key)
    place.settle()
    assert (place.volumes(), place.storage.made) == ([], {})


def test_a_pool_that_is_full_leaves_the_claim_pending_and_says_so() -> None:
    place = Place(storage_class(), claim(storage_class_name="fast"))
    place.storage.refuses["create"] = Exhausted("pool main has 12 MiB left")
    place.settle()
    assert place.claim().status.phase is ClaimPhase.PENDING
    assert ("ProvisioningFailed", "pool main has 12 MiB left") in place.notes
    place.storage.refuses.clear()
    place.settle()
    assert place.claim().status.phase is ClaimPhase.BOUND


def test_a_claim_deleted_while_its_volume_is_made_leaks_nothing() -> None:
    place = Place(storage_class(), claim(storage_class_name="fast"))
    place.look(place.claim().key)  # the record
    assert place.made_volume().status.phase is VolumePhase.PENDING
    place.store.delete(place.claim().key)
    place.settle()
    assert (place.volumes(), place.storage.made) == ([], {})


@pytest.mark.parametrize("looks", range(8))
def test_the_claim_can_be_deleted_after_any_number_of_looks(looks: int) -> None:
    place = Place(storage_class(), claim(storage_class_name="fast"))
    for _ in range(looks):
        place.look(place.claim().key)
    place.store.delete(place.claim().key)
    place.settle()
    assert (place.volumes(), place.storage.made) == ([], {})


def test_a_claim_in_use_stays_until_its_pods_have_ended() -> None:
    place = provisioned()
    place.add(pod())
    place.store.delete(place.claim().key)
    place.settle()
    assert place.claim().metadata.deletion_timestamp
    assert "ClaimInUse" in place.reasons()
    place.end(pod())
    place.settle()
    assert place.store.find(Key("PersistentVolumeClaim", "default", "data")) is None
    assert place.storage.made == {}


def test_a_finished_pod_holds_no_claim() -> None:
    place = provisioned()
    place.add(pod())
    done = place.store.get(pod().key)
    place.change(done, status=replace(done.status, phase="Succeeded"))  # type: ignore[attr-defined]
    place.store.delete(place.claim().key)
    place.settle()
    assert place.store.find(Key("PersistentVolumeClaim", "default", "data")) is None


def test_growth() -> None:
    place = provisioned(allow_volume_expansion=True)
    place.ask("3Gi")
    place.settle()
    assert place.claim().capacity == place.made_volume().spec.size == Quantity.parse("3Gi")
    assert place.storage.made[place.made_volume().metadata.name] == 3 * GI
    assert place.claim().status.allocated_resource_statuses == {}
    assert place.claim().status.conditions == ()


def test_growth_at_the_next_mount() -> None:
    place = provisioned(allow_volume_expansion=True)
    place.storage.grows_online = False
    place.ask("3Gi")
    place.settle()
    assert place.claim().status.allocated_resource_statuses == {STORAGE: ResizeStatus.NODE_PENDING}
    assert place.claim().capacity == Quantity.parse("1Gi"), "that is what can be used"
    place.storage.grows_online = True
    place.settle()
    assert place.claim().capacity == Quantity.parse("3Gi")


def test_growth_that_is_impossible_can_be_taken_back() -> None:
    place = provisioned(allow_volume_expansion=True)
    place.storage.refuses["expand"] = Exhausted("pool main has 12 MiB left")
    place.ask("3Gi")
    place.settle()
    assert place.claim().status.allocated_resource_statuses == {STORAGE: ResizeStatus.CONTROLLER_INFEASIBLE}
    place.ask("1Gi")
    place.settle()
    assert place.claim().status.allocated_resource_statuses == {}
    assert place.claim().capacity == Quantity.parse("1Gi")


def test_growth_that_the_class_does_not_allow() -> None:
    place = provisioned()
    place.ask("3Gi")
    place.settle()
    assert "ExpansionNotAllowed" in place.reasons()
    assert place.claim().capacity == Quantity.parse("1Gi")


def gold(driver: str = DRIVER) -> VolumeAttributesClass:
    return VolumeAttributesClass(metadata=ObjectMeta(name="gold"), driver_name=driver, parameters={"iops": "500"})


def test_another_attributes_class() -> None:
    place = provisioned()
    place.add(gold())
    found = place.claim()
    place.change(found, spec=replace(found.spec, volume_attributes_class_name="gold"))
    place.settle()
    assert place.claim().status.current_volume_attributes_class_name == "gold"
    assert place.storage.classes == {place.made_volume().metadata.name: "gold"}


def test_an_attributes_class_that_is_impossible() -> None:
    place = provisioned()
    place.storage.refuses["modify"] = InvalidObject('iops: "many" is not a number')
    place.add(gold())
    found = place.claim()
    place.change(found, spec=replace(found.spec, volume_attributes_class_name="gold"))
    place.settle()
    status = place.claim().status.modify_volume_status
    assert status is not None
    assert status.status == "Infeasible"


def ephemeral_pod() -> object:
    spec = PersistentVolumeClaimSpec(
        access_modes=RWO, storage_class_name="fast", resources=VolumeResources(requests={STORAGE: Quantity.parse("1Gi")})
    )
    volumes = tuple(Volume(name=name, ephemeral=EphemeralVolume(volume_claim_template=ClaimTemplate(spec=spec))) for name in ("a", "b"))
    return pod(volumes=volumes)


def test_ephemeral_claims_live_as_long_as_their_pod() -> None:
    place = Place(storage_class(), ephemeral_pod())  # type: ignore[arg-type]
    place.settle()
    assert [place.claim(name).status.phase for name in ("web-a", "web-b")] == [ClaimPhase.BOUND] * 2
    place.end(pod())
    place.settle()
    assert place.store.list("PersistentVolumeClaim")[0] == []
    assert place.storage.made == {}


def test_a_claim_of_that_name_that_is_somebody_elses_is_not_used() -> None:
    place = Place(storage_class(), claim("web-a", storage_class_name="fast"), ephemeral_pod())  # type: ignore[arg-type]
    place.settle()
    assert "FailedCreate" in place.reasons()
