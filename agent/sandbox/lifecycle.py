"""A pod's life on this node as a table: what is known of it decides the one next step.

    pod known?  of this node?  being deleted?  finished?   step
    no          -              -               -           REMOVE   (whatever is left of it)
    yes         no             -               -           IGNORE   (a remote endpoint, if it has an address)
    yes         yes            yes             -           END      (processes first, then the sandbox, then the finalizer)
    yes         yes            no              yes         END_NETWORK
    yes         yes            no              no          BUILD    (a no-op where everything stands)

Steps are idempotent, so being told twice, late or out of order does no harm.
"""

from __future__ import annotations

from enum import Enum, auto

from agent.objects.pod import Pod
from agent.objects.pod_status import PodPhase

FINALIZER = "podwright.io/sandbox"
"""Keeps a deleted Pod on record until its sandbox is gone."""
_FINISHED = (PodPhase.SUCCEEDED, PodPhase.FAILED)


class Step(Enum):
    IGNORE = auto()
    BUILD = auto()
    END = auto()
    END_NETWORK = auto()
    REMOVE = auto()


def next_step(pod: Pod | None, node_name: str) -> Step:
    if pod is None:
        return Step.REMOVE
    if pod.spec.node_name not in ("", node_name):
        return Step.IGNORE
    if pod.metadata.deletion_timestamp is not None:
        return Step.END
    if pod.status.phase in _FINISHED:
        return Step.END_NETWORK
    return Step.BUILD
