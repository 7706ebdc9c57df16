"""Starts and stops the controllers: the part of Podwright that a Kubernetes control plane would do instead.

Switched off, nothing here runs and nothing else changes: pods are still built, Deployments are just records.
"""

from __future__ import annotations

from agent.controllers.deployment import Admit, DeploymentController
from agent.controllers.garbage import GarbageCollector
from agent.controllers.namespace import NamespaceController
from agent.controllers.runner import Runner
from agent.objects.meta import Object
from agent.store.base import Store


class Controllers:
    """`runner` None: switched off."""

    def __init__(self, runner: Runner | None) -> None:
        self._runner = runner

    @property
    def is_enabled(self) -> bool:
        return self._runner is not None

    def stop(self) -> None:
        """Finish what is under way. The second time it does nothing."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.stop()


def as_it_is(new: Object, _old: Object | None) -> Object:
    return new


def start(store: Store, node_name: str, enabled: bool = True, *, admit: Admit = as_it_is) -> Controllers:
    """`admit` gives pods that a controller creates this node's defaults (finalizer, nodeName): pass the API's."""
    if not enabled:
        return Controllers(None)
    runner = Runner(store, (DeploymentController(store, admit), GarbageCollector(store, node_name), NamespaceController(store)))
    runner.start()
    return Controllers(runner)
