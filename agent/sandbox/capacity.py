"""What a node has, what pods ask for, and whether one more fits. Pure, in plain numbers.

A pod takes what Kubernetes counts: the amounts of its containers together, or what any init container needs at its turn
if that is more (sidecars, which keep running, count on both sides), and the pod's overhead on top. `Ledger` keeps the
sum, so one pod more or less costs the same among 3 or 1000.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from agent.objects.container import ResourceRequirements
from agent.objects.pod import Pod
from agent.objects.quantity import Quantity, Style

DEFAULT_MAX_PODS = 1000
RESERVED_MEMORY_BYTES = 256 << 20
"""Kept for the node itself: allocatable is what pods may ask for."""


@dataclass(frozen=True, slots=True)
class Resources:
    """An amount of everything that is counted."""

    cpu_milli: int = 0
    memory_bytes: int = 0
    pods: int = 0

    def __add__(self, other: Resources) -> Resources:
        return Resources(self.cpu_milli + other.cpu_milli, self.memory_bytes + other.memory_bytes, self.pods + other.pods)

    def __sub__(self, other: Resources) -> Resources:
        return Resources(self.cpu_milli - other.cpu_milli, self.memory_bytes - other.memory_bytes, self.pods - other.pods)

    def at_least(self, other: Resources) -> Resources:
        return Resources(max(self.cpu_milli, other.cpu_milli), max(self.memory_bytes, other.memory_bytes), max(self.pods, other.pods))

    def quantities(self) -> dict[str, Quantity]:
        """As a Node's status has them."""
        return {"cpu": Quantity(self.cpu_milli * 10**6), "memory": _memory(self.memory_bytes), "pods": Quantity(self.pods * 10**9)}


def capacity(cpus: int, memory_bytes: int, max_pods: int = DEFAULT_MAX_PODS) -> Resources:
    return Resources(cpus * 1000, memory_bytes, max_pods)


def allocatable(of: Resources, reserved_memory_bytes: int = RESERVED_MEMORY_BYTES) -> Resources:
    return Resources(of.cpu_milli, max(of.memory_bytes - reserved_memory_bytes, 0), of.pods)


def requests(pod: Pod) -> Resources:
    """What the pod takes from the node; one of `pods` with it."""
    return counted(pod, lambda resources: resources.effective_requests) + _resources(pod.spec.overhead) + Resources(pods=1)


def counted(pod: Pod, amounts: Callable[[ResourceRequirements], Mapping[str, Quantity]]) -> Resources:
    """`amounts` of all containers (their requests, or their limits) by the rule above, without overhead."""
    spec = pod.spec
    running = _sum(_resources(amounts(container.resources)) for container in spec.containers)
    sidecars, peak = Resources(), Resources()
    for container in spec.init_containers:
        own = _resources(amounts(container.resources))
        if container.restart_policy == "Always":
            sidecars += own
            peak = peak.at_least(sidecars)
        else:
            peak = peak.at_least(sidecars + own)
    total = (running + sidecars).at_least(peak)
    return total if spec.resources is None else _override(total, amounts(spec.resources))  # asked for as a pod: replaces the sum


def fits(allocatable: Resources, used: Resources, pod: Pod) -> tuple[str, ...]:
    """Why the pod does not fit beside what is used; empty if it does. What it does not ask for cannot be missing."""
    wanted, free = requests(pod), (allocatable - used).at_least(Resources())
    reasons = []
    if wanted.pods > free.pods:
        reasons.append(f"too many pods: {used.pods} of {allocatable.pods} are here")
    if wanted.cpu_milli > free.cpu_milli:
        asked, left, total = (_cores(r.cpu_milli) for r in (wanted, free, allocatable))
        reasons.append(f"insufficient cpu: requests {asked}, free {left} of {total}")
    if wanted.memory_bytes > free.memory_bytes:
        asked, left, total = (str(_memory(r.memory_bytes)) for r in (wanted, free, allocatable))
        reasons.append(f"insufficient memory: requests {asked}, free {left} of {total}")
    return tuple(reasons)


class Ledger:
    """Who has taken how much. Not thread-safe: the caller's lock makes "fits, then admit" one step."""

    def __init__(self, allocatable: Resources, pods: Iterable[Pod] = ()) -> None:
        self.allocatable = allocatable
        self._held: dict[str, Resources] = {}
        self.used = Resources()
        for pod in pods:
            self.hold(pod)

    def __contains__(self, uid: str) -> bool:
        return uid in self._held

    def admit(self, pod: Pod) -> tuple[str, ...]:
        """Hold its requests and return (), or hold nothing and return the reasons. A pod that is here stays here."""
        if pod.metadata.uid not in self._held and (reasons := fits(self.allocatable, self.used, pod)):
            return reasons
        self.hold(pod)
        return ()

    def hold(self, pod: Pod) -> None:
        """Count it whether it fits or not: at a restart, what runs, runs. A finished pod holds nothing."""
        self.release(pod.metadata.uid)
        if not pod.is_finished:
            taken = self._held[pod.metadata.uid] = requests(pod)
            self.used += taken

    def release(self, uid: str) -> None:
        self.used -= self._held.pop(uid, Resources())


def _resources(quantities: Mapping[str, Quantity]) -> Resources:
    return _override(Resources(), quantities)


def _override(base: Resources, quantities: Mapping[str, Quantity]) -> Resources:
    cpu, memory = quantities.get("cpu"), quantities.get("memory")
    return Resources(base.cpu_milli if cpu is None else cpu.milli, base.memory_bytes if memory is None else memory.whole, base.pods)


def _sum(parts: Iterable[Resources]) -> Resources:
    total = Resources()
    for part in parts:
        total += part
    return total


def _cores(milli: int) -> str:
    """As people say it: 1.5, not 1500m."""
    return f"{milli / 1000:g}"


def _memory(size_bytes: int) -> Quantity:
    return Quantity(size_bytes * 10**9, Style.BINARY)
