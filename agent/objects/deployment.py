"""A Deployment (apps/v1): so many pods of one template, replaced step by step when the template changes."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Literal

import msgspec

from agent.objects.meta import Condition, Object, Value, encode_hook
from agent.objects.pod import PodTemplateSpec
from agent.objects.selector import LabelSelector

TEMPLATE_HASH_LABEL = "pod-template-hash"
_HASH_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels, so that no hash spells a word; Kubernetes' choice."""


def template_hash(template: PodTemplateSpec) -> str:
    """Ten characters that change with the template and with nothing else; part of each pod's name and labels.

    Fields at their default are not written, so a field that a later version adds changes no hash.
    """
    text = msgspec.json.encode(template, enc_hook=encode_hook, order="sorted")
    number = int.from_bytes(hashlib.blake2b(text, digest_size=16).digest())
    letters = []
    for _ in range(10):
        number, index = divmod(number, len(_HASH_ALPHABET))
        letters.append(_HASH_ALPHABET[index])
    return "".join(letters)


MAX_REPLICAS = 10_000
"""Ten times what a node takes: a slip of the finger must not fill its memory and its disk with pods that wait."""


class StrategyType(StrEnum):
    ROLLING_UPDATE = "RollingUpdate"
    RECREATE = "Recreate"


class RollingUpdate(Value, frozen=True):
    """A number of pods or a percentage of replicas ("25%"). maxUnavailable rounds down, maxSurge up."""

    max_unavailable: int | str = "25%"
    max_surge: int | str = "25%"


class DeploymentStrategy(Value, frozen=True):
    type: StrategyType = StrategyType.ROLLING_UPDATE
    rolling_update: RollingUpdate | None = None


class DeploymentSpec(Value, frozen=True):
    selector: LabelSelector
    template: PodTemplateSpec
    # A default that comes from a factory is always written: `.spec.replicas` is what people and scripts ask for.
    replicas: int = msgspec.field(default_factory=lambda: 1)
    strategy: DeploymentStrategy = DeploymentStrategy()
    min_ready_seconds: int = 0
    revision_history_limit: int = 10
    paused: bool = False
    progress_deadline_seconds: int = 600


class DeploymentStatus(Value, frozen=True):
    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    unavailable_replicas: int = 0
    terminating_replicas: int | None = None
    conditions: tuple[Condition, ...] = ()
    collision_count: int | None = None


class Deployment(Object, frozen=True, kw_only=True):
    spec: DeploymentSpec
    api_version: str = "apps/v1"
    kind: Literal["Deployment"] = "Deployment"
    status: DeploymentStatus = DeploymentStatus()
