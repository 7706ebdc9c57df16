"""Starts and stops the controllers: the part of Podwright that a Kubernetes control plane would do instead.

Switched off, nothing here runs and nothing else changes: pods are still built, Deployments are just records.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.controllers.deployment import Admit, DeploymentController
from agent.controllers.garbage import GarbageCollector
from agent.controllers.namespace import NamespaceController
from agent.controllers.runner import Runner
from agent.controllers.storage.controller import Driver, NoDriver, Record, StorageController
from agent.objects.meta import Object, now
from agent.store.base import Store


class Controllers:
    """`runner` None: switched off."""

    def __init__(self, runner: Runner | None) -> None:
        self._runner = runner

    def stop(self) -> None:
        """Finish what is under way. The second time it does nothing."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.stop()


def unrecorded(_subject: Object, _type: str, _reason: str, _message: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Storage:
    """Who makes volumes, and where what happened to them is told."""

    driver: Driver = NoDriver()
    record: Record = unrecorded


def as_it_is(new: Object, _old: Object | None) -> Object:
    return new


def start(store: Store, node_name: str, enabled: bool = True, *, admit: Admit = as_it_is, storage: Storage | None = None) -> Controllers:
    """`admit` gives pods that a controller creates this node's defaults (finalizer, nodeName): pass the API's."""
    if not enabled:
        return Controllers(None)
    storage = storage or Storage()
    runner = Runner(
        store,
        (
            DeploymentController(store, admit),
            GarbageCollector(store, node_name),
            NamespaceController(store),
            StorageController(store, node_name, storage.driver, storage.record, now),
        ),
    )
    runner.start()
    return Controllers(runner)
