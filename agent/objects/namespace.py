"""A namespace (core/v1): a room of names. It exists, or it does not; the agent gives it no lifecycle of its own."""

from __future__ import annotations

from typing import Literal

from agent.objects.meta import Condition, Object, Value

DEFAULT_NAMESPACE = "default"
NAME_LABEL = "kubernetes.io/metadata.name"
"""Every namespace carries its own name under this label, so that selectors can name it."""


class NamespaceSpec(Value, frozen=True):
    finalizers: tuple[str, ...] = ()


class NamespaceStatus(Value, frozen=True):
    phase: Literal["Active", "Terminating"] | None = None
    conditions: tuple[Condition, ...] = ()


class Namespace(Object, frozen=True):
    api_version: str = "v1"
    kind: Literal["Namespace"] = "Namespace"
    spec: NamespaceSpec = NamespaceSpec()
    status: NamespaceStatus = NamespaceStatus()
