"""What the planners look at: claims, volumes, classes and users as they are stored, and this node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.objects.claim import AccessMode
from agent.objects.meta import Key
from agent.objects.node import HOSTNAME_LABEL, Node
from agent.objects.persistent_volume import PersistentVolume
from agent.objects.persistent_volume_claim import PersistentVolumeClaim
from agent.objects.pod import Pod
from agent.objects.reference import ObjectReference
from agent.objects.storage_class import StorageClass, VolumeAttributesClass
from agent.objects.volumes import ephemeral_claim_name
from agent.store.base import ObjectT, Store

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"
SELECTED_NODE = "volume.kubernetes.io/selected-node"


@dataclass(frozen=True, slots=True)
class Records:
    """Everything by name; `users` are the pods, not ended, that name a claim."""

    node_name: str
    claims: Mapping[tuple[str, str], PersistentVolumeClaim] = field(default_factory=dict)
    volumes: Mapping[str, PersistentVolume] = field(default_factory=dict)
    classes: Mapping[str, StorageClass] = field(default_factory=dict)
    attributes_classes: Mapping[str, VolumeAttributesClass] = field(default_factory=dict)
    users: Mapping[tuple[str, str], tuple[Pod, ...]] = field(default_factory=dict)
    node_labels: Mapping[str, str] = field(default_factory=dict)

    def users_of(self, claim: PersistentVolumeClaim) -> tuple[Pod, ...]:
        return self.users.get((claim.metadata.namespace, claim.metadata.name), ())

    def claim_of(self, volume: PersistentVolume) -> PersistentVolumeClaim | None:
        """The claim that the volume names, if it is there and is the one that was meant."""
        reference = volume.spec.claim_ref
        claim = self.claims.get((reference.namespace, reference.name)) if reference is not None else None
        if claim is None or reference is None or reference.uid not in ("", claim.metadata.uid):
            return None
        return claim

    def is_reachable(self, volume: PersistentVolume) -> bool:
        """From this node."""
        affinity = volume.spec.node_affinity
        return affinity is None or affinity.required is None or affinity.required.matches(self.node_name, self.node_labels)

    def default_class(self) -> StorageClass | None:
        """Of several the newest, then the first by name, as Kubernetes chooses."""
        marked = sorted((each for each in self.classes.values() if each.is_default), key=lambda each: each.metadata.name)
        return max(marked, key=lambda each: each.metadata.creation_timestamp or "", default=None)


def read(store: Store, node_name: str) -> Records:
    node = next((each for each in store.list("Node")[0] if each.metadata.name == node_name), None)
    labels = node.metadata.labels if isinstance(node, Node) else {}
    users: dict[tuple[str, str], tuple[Pod, ...]] = {}
    for pod in store.list("Pod")[0]:
        if isinstance(pod, Pod) and not pod.is_finished:
            for name in claim_names(pod):
                key = (pod.metadata.namespace, name)
                users[key] = (*users.get(key, ()), pod)
    return Records(
        node_name,
        claims={(key.namespace, key.name): each for key, each in _keyed(store, "PersistentVolumeClaim", PersistentVolumeClaim)},
        volumes=_named(store, "PersistentVolume", PersistentVolume),
        classes=_named(store, "StorageClass", StorageClass),
        attributes_classes=_named(store, "VolumeAttributesClass", VolumeAttributesClass),
        users=users,
        node_labels={HOSTNAME_LABEL: node_name, **labels},
    )


def _keyed(store: Store, kind: str, wanted: type[ObjectT]) -> list[tuple[Key, ObjectT]]:
    return [(each.key, each) for each in store.list(kind)[0] if isinstance(each, wanted)]


def _named(store: Store, kind: str, wanted: type[ObjectT]) -> dict[str, ObjectT]:
    return {key.name: each for key, each in _keyed(store, kind, wanted)}


def claim_names(pod: Pod) -> list[str]:
    """The claims that a pod's volumes name; an ephemeral volume's claim is named after pod and volume."""
    named = [volume.persistent_volume_claim.claim_name for volume in pod.spec.volumes if volume.persistent_volume_claim]
    made = [ephemeral_claim_name(pod.metadata.name, volume.name) for volume in pod.spec.volumes if volume.ephemeral]
    return list(dict.fromkeys([*named, *made]))


def refers_to(reference: ObjectReference | None, claim: PersistentVolumeClaim) -> bool:
    """A reference without uid means whichever claim has the name: an administrator reserved the volume."""
    if reference is None:
        return False
    names = (reference.namespace, reference.name) == (claim.metadata.namespace, claim.metadata.name)
    return names and reference.uid in ("", claim.metadata.uid)


def is_single_pod(claim: PersistentVolumeClaim) -> bool:
    return AccessMode.READ_WRITE_ONCE_POD in claim.spec.access_modes
