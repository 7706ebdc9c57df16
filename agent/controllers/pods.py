"""Hears of pods and has their sandboxes brought to where they should be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agent.controllers.runner import Due
from agent.objects.meta import Key
from agent.sandbox.manager import SandboxManager
from agent.store.base import Event


class PodController:
    name = "pods"
    kinds: Sequence[str] = ("Pod",)

    def __init__(self, sandboxes: SandboxManager) -> None:
        self._sandboxes = sandboxes

    def due(self, event: Event) -> Iterable[Due]:
        """A status that we wrote ourselves is no news."""
        if event.old is None or _is_news(event):
            yield Due(event.object.key)

    def reconcile(self, key: Key) -> float | None:
        return self._sandboxes.reconcile(key)


def _is_news(event: Event) -> bool:
    new, old = event.object.metadata, event.old.metadata if event.old else None
    if old is None or event.type == "DELETED":
        return True
    return (new.generation, new.deletion_timestamp, new.finalizers) != (old.generation, old.deletion_timestamp, old.finalizers)
