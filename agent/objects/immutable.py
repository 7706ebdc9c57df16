"""Which fields of an object that exists cannot be changed, because what was built from them is not rebuilt.

A pod's network, namespaces and mounts are made once: as in Kubernetes nearly all of its spec is fixed, and a change
is a new pod. A pod of another node is only a record here and may change freely.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from agent.errors import InvalidObject
from agent.objects import config_data
from agent.objects.config_data import ConfigMap, Secret
from agent.objects.container import Container
from agent.objects.deployment import Deployment
from agent.objects.immutable_storage import storage_problems
from agent.objects.meta import Object
from agent.objects.pod import Pod, PodSpec


def refuse_forbidden_changes(new: Object, old: Object, node_name: str) -> None:
    """Raises InvalidObject with every field that was changed and must not be."""
    problems: tuple[str, ...] = ()
    if isinstance(new, Pod) and isinstance(old, Pod) and old.spec.node_name in ("", node_name):
        problems = tuple(_pod_problems(new.spec, old.spec))
    if isinstance(new, Deployment) and isinstance(old, Deployment) and new.spec.selector != old.spec.selector:
        problems = ("spec.selector: cannot be changed",)
    problems = problems or tuple(storage_problems(new, old))
    if isinstance(new, ConfigMap | Secret) and isinstance(old, ConfigMap | Secret):
        problems = tuple(config_data.changes(new, old))
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise InvalidObject(
            f"cannot change {old.key}: {problems[0]}{more}", problems=problems, hint=f"delete the {old.kind.lower()}, then apply it again"
        )


_FREE_IN_A_POD = frozenset({"active_deadline_seconds", "termination_grace_period_seconds", "tolerations", "scheduling_gates"})


def _pod_problems(new: PodSpec, old: PodSpec) -> Iterator[str]:
    for field in msgspec.structs.fields(PodSpec):
        before, after = getattr(old, field.name), getattr(new, field.name)
        is_binding = field.name == "node_name" and not before
        if field.name in _FREE_IN_A_POD or is_binding or _without_images(before) == _without_images(after):
            continue
        yield f"spec.{field.encode_name}: cannot be changed"


def _without_images(value: Any) -> Any:
    """A container's image may change: nothing was built from it."""
    if isinstance(value, tuple):
        return tuple(replace(item, image="") if isinstance(item, Container) else item for item in value)
    return value
