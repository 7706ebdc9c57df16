"""Kinds of storage that a cluster offers: StorageClass and VolumeAttributesClass (storage.k8s.io/v1).

A StorageClass says who makes a volume and how; a VolumeAttributesClass holds what may change while the volume lives,
such as its IOPS. Neither has a status: they are read when a claim is acted on.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from agent.objects.meta import Object, Value
from agent.objects.persistent_volume import ReclaimPolicy

DEFAULT_CLASS_ANNOTATION = "storageclass.kubernetes.io/is-default-class"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
"""A class that only orders prepared volumes: nothing is made for its claims."""


class BindingMode(StrEnum):
    IMMEDIATE = "Immediate"
    WAIT_FOR_FIRST_CONSUMER = "WaitForFirstConsumer"


class TopologyLabel(Value, frozen=True):
    key: str
    values: tuple[str, ...]


class TopologyTerm(Value, frozen=True):
    match_label_expressions: tuple[TopologyLabel, ...] = ()


class StorageClass(Object, frozen=True, kw_only=True):
    provisioner: str
    api_version: str = "storage.k8s.io/v1"
    kind: Literal["StorageClass"] = "StorageClass"
    parameters: dict[str, str] = {}
    # Written although it is the default: people ask for it by name.
    reclaim_policy: ReclaimPolicy = msgspec.field(default_factory=lambda: ReclaimPolicy.DELETE)
    mount_options: tuple[str, ...] = ()
    allow_volume_expansion: bool = False
    volume_binding_mode: BindingMode = msgspec.field(default_factory=lambda: BindingMode.IMMEDIATE)
    allowed_topologies: tuple[TopologyTerm, ...] = ()

    @property
    def is_default(self) -> bool:
        return self.metadata.annotations.get(DEFAULT_CLASS_ANNOTATION) == "true"

    @property
    def waits_for_consumer(self) -> bool:
        return self.volume_binding_mode is BindingMode.WAIT_FOR_FIRST_CONSUMER


class VolumeAttributesClass(Object, frozen=True, kw_only=True):
    driver_name: str
    api_version: str = "storage.k8s.io/v1"
    kind: Literal["VolumeAttributesClass"] = "VolumeAttributesClass"
    parameters: dict[str, str] = {}
