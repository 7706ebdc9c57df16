"""A pod's life on this node as a table: what is known of it decides the one next step.

    of this node?  being deleted?  finished?   step
    no             -               -           IGNORE   (a remote endpoint, if it has an address)
    yes            yes             -           END      (processes first, then the sandbox, then the finalizer)
    yes            no              yes         END_NETWORK
    yes            no              no          BUILD    (a no-op where everything stands)

A pod that is known no more is no step: whatever is left of it is removed first.
Steps are idempotent, so being told twice, late or out of order does no harm.
"""

from __future__ import annotations

from enum import Enum, auto

from agent.objects.pod import Pod


class Step(Enum):
    IGNORE = auto()
    BUILD = auto()
    END = auto()
    END_NETWORK = auto()


def next_step(pod: Pod, node_name: str) -> Step:
    if pod.spec.node_name not in ("", node_name):
        return Step.IGNORE
    if pod.is_being_deleted:
        return Step.END
    if pod.is_finished:
        return Step.END_NETWORK
    return Step.BUILD
