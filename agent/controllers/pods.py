"""Hears of pods, and of what their volumes are made of, and has their sandboxes brought to where they should be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agent.controllers.runner import Due
from agent.objects.meta import Key
from agent.objects.pod import Pod
from agent.sandbox.manager import SandboxManager
from agent.store.base import Event, EventType


class PodController:
    name = "pods"
    kinds: Sequence[str] = ("Pod", "ConfigMap", "Secret", "PersistentVolumeClaim")

    def __init__(self, sandboxes: SandboxManager) -> None:
        self._sandboxes = sandboxes

    def due(self, event: Event) -> Iterable[Due]:
        """A status and a binding that we wrote ourselves are no news."""
        if not isinstance(event.object, Pod):
            yield from (Due(key) for key in self._sandboxes.readers(event.object.key))
        elif event.old is None or _is_news(event):
            yield Due(event.object.key)

    def reconcile(self, key: Key) -> float | None:
        return self._sandboxes.reconcile(key)


def _is_news(event: Event) -> bool:
    new, old = event.object, event.old
    if old is None or event.type is EventType.DELETED or not (isinstance(new, Pod) and isinstance(old, Pod)):
        return True
    if (new.metadata.deletion_timestamp, new.status.phase) != (old.metadata.deletion_timestamp, old.status.phase):
        return old.status.phase is not None
    if (new.metadata.annotations, new.metadata.labels) != (old.metadata.annotations, old.metadata.labels):
        return True
    return new.spec != old.spec and old.spec.node_name == new.spec.node_name
