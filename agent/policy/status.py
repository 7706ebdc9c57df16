"""What a policy's status says of its enforcement: condition `Enforced` is False, with the reason, while it cannot be.

A policy that is in force needs no words, so that applying one costs one write; only one that was told to be wrong is
told to be right again. What the store cannot read (Unreadable) has no status: the log names it.
"""

from __future__ import annotations

from collections.abc import Mapping

from loguru import logger
from msgspec.structs import replace

from agent import metrics
from agent.errors import CallerError
from agent.objects.meta import Condition, Key, Object
from agent.store.base import Store

ENFORCED = "Enforced"


class StatusWriter:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._told: dict[Key, str] = {}

    def tell(self, broken: Mapping[Key, str]) -> None:
        """Of all policies: those that cannot be enforced, by key, with the reason."""
        metrics.POLICY_BROKEN.set(len(broken))
        for key in [key for key in (*broken, *self._told) if self._told.get(key) != broken.get(key)]:
            reason = broken.get(key)
            if reason is not None:
                logger.error("{} cannot be enforced and denies in its stead: {}", key, reason)
                self._told[key] = reason
            else:
                del self._told[key]
            self._write(key)

    def _write(self, key: Key) -> None:
        known = self._store.find(key)
        changed = None if known is None else with_condition(known, self._told.get(key, ""))
        if changed is not None:
            try:
                self._store.update(changed)
            except CallerError as error:
                logger.debug("cannot write the status of {}: {}", key, error)


def with_condition(policy: Object, reason: str) -> Object | None:
    """The policy with the condition that `reason` ("" is none) asks for; None: it says so already. Pure."""
    status = getattr(policy, "status", None)
    if status is None or not hasattr(status, "conditions"):
        return None
    others = tuple(each for each in status.conditions if each.type != ENFORCED)
    mine = [each for each in status.conditions if each.type == ENFORCED]
    if not reason and not mine:
        return None
    wanted = Condition(type=ENFORCED, status="False" if reason else "True", reason="Broken" if reason else "InForce", message=reason)
    if mine == [wanted]:
        return None
    return replace(policy, status=replace(status, conditions=(*others, wanted)))
