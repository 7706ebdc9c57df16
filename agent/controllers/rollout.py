"""How many pods of a Deployment to create, and which to delete, in one step. Pure arithmetic over Replicas.

Two promises hold at every moment of a rolling update, whatever happens in which order: never more pods than
replicas + maxSurge (those ending do not count, as in Kubernetes), and no step takes the available ones below
replicas - maxUnavailable. Recreate ends every old pod, and creates only when the last of them is gone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from agent.controllers.replica import Replica, deletion_rank
from agent.errors import InvalidObject
from agent.objects.deployment import DeploymentSpec, RollingUpdate, StrategyType

_PERCENT = re.compile(r"(\d{1,9})%", re.ASCII)


@dataclass(frozen=True, slots=True)
class Limits:
    """`most`: pods at any time; `least`: available ones that no step may go below."""

    replicas: int
    max_surge: int
    max_unavailable: int

    @property
    def most(self) -> int:
        return self.replicas + self.max_surge

    @property
    def least(self) -> int:
        return self.replicas - self.max_unavailable


@dataclass(frozen=True, slots=True)
class Victim:
    replica: Replica
    reason: str


@dataclass(frozen=True, slots=True)
class Step:
    create: int = 0
    victims: tuple[Victim, ...] = ()


def limits(spec: DeploymentSpec) -> Limits:
    """Percentages of replicas: surge rounds up, unavailable down; both zero would stand still, so one may be missing."""
    if spec.strategy.type is StrategyType.RECREATE:
        return Limits(spec.replicas, 0, 0)
    update = spec.strategy.rolling_update or RollingUpdate()
    surge = _count(update.max_surge, spec.replicas, "maxSurge", round_up=True)
    unavailable = _count(update.max_unavailable, spec.replicas, "maxUnavailable", round_up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Limits(spec.replicas, surge, min(unavailable, spec.replicas))


def step(spec: DeploymentSpec, replicas: Sequence[Replica], ending_old: int) -> Step:
    """`replicas` are those not ending; `ending_old` counts old ones that still do."""
    bounds = limits(spec)
    if spec.paused:
        return _hold(bounds, replicas)
    if spec.strategy.type is StrategyType.RECREATE:
        return _recreate(bounds, replicas, ending_old)
    return _roll(bounds, replicas)


def _hold(bounds: Limits, replicas: Sequence[Replica]) -> Step:
    """Paused: nobody is replaced, but the number is kept. What is missing comes from today's template (the only one known)."""
    surplus = len(replicas) - bounds.replicas
    return Step(max(-surplus, 0), _victims(_first(surplus, replicas, lambda r: (r.is_new, deletion_rank(r))), "scaled down"))


def _recreate(bounds: Limits, replicas: Sequence[Replica], ending_old: int) -> Step:
    old, new = _split(replicas)
    surplus = _surplus_of_new(bounds, new)
    if old or ending_old:
        return Step(0, _victims(old, "old template") + surplus)
    return Step(max(bounds.replicas - len(new), 0), surplus)


def _roll(bounds: Limits, replicas: Sequence[Replica]) -> Step:
    old, new = _split(replicas)
    create = max(min(bounds.most - len(replicas), bounds.replicas - len(new)), 0)
    victims = _surplus_of_new(bounds, new) + _victims(_expendable_old(bounds, old, new), "old template")
    return Step(create, victims + _excess(bounds, replicas, victims))


def _surplus_of_new(bounds: Limits, new: Sequence[Replica]) -> tuple[Victim, ...]:
    return _victims(_first(len(new) - bounds.replicas, new, deletion_rank), "scaled down")


def _expendable_old(bounds: Limits, old: Sequence[Replica], new: Sequence[Replica]) -> list[Replica]:
    """The unavailable ones first. Old pods that are not available yet count as a reserve too: else two bad templates
    in a row would end everything that may still recover."""
    new_available = min(_available(new), bounds.replicas)
    spare = max(len(old) + new_available - bounds.least, 0)
    return _first(spare, old, lambda r: (r.is_available, deletion_rank(r)))


def _excess(bounds: Limits, replicas: Sequence[Replica], victims: Sequence[Victim]) -> tuple[Victim, ...]:
    """After a scale-down in the middle of a rollout more than `most` may be left: unavailable ones go first, old before new."""
    going = {victim.replica.pod.metadata.name for victim in victims}
    left = [r for r in replicas if r.pod.metadata.name not in going]
    return _victims(_first(len(left) - bounds.most, left, lambda r: (r.is_available, r.is_new, deletion_rank(r))), "scaled down")


def _split(replicas: Sequence[Replica]) -> tuple[list[Replica], list[Replica]]:
    return [r for r in replicas if not r.is_new], [r for r in replicas if r.is_new]


def _first(count: int, replicas: Sequence[Replica], rank: Callable[[Replica], Any]) -> list[Replica]:
    """Usually nobody has to go, and then nobody is ranked."""
    return sorted(replicas, key=rank)[:count] if count > 0 else []


def _victims(replicas: Iterable[Replica], reason: str) -> tuple[Victim, ...]:
    return tuple(Victim(replica, reason) for replica in replicas)


def _available(replicas: Iterable[Replica]) -> int:
    return sum(r.is_available for r in replicas)


def _count(value: int | str, replicas: int, field: str, *, round_up: bool) -> int:
    if isinstance(value, int):
        return max(value, 0)
    found = _PERCENT.fullmatch(value)
    if found is None:
        raise InvalidObject(f'spec.strategy.rollingUpdate.{field}: "{value}" is neither a number nor a percentage such as 25%')
    hundredths = int(found[1]) * replicas
    return -(-hundredths // 100) if round_up else hundredths // 100
