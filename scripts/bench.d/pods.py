"""300 pods from one Deployment: how long from `apply` until each answers ICMP and TCP from the node, IPv4 and IPv6.

A listener stands in every pod; a pod is asked as soon as its status says that its sandbox is ready.
"""

from __future__ import annotations

from rig import crowd
from rig.options import Options
from rig.report import Figure, Goal, Report

_PODS, _ROUNDS = 300, 7
_ANSWERED = Goal(must=3.0, aim=1.5)


def run(options: Options) -> Report:
    return sum((_of_mode(mode, options) for mode in options.modes), Report())


def _of_mode(mode: str, options: Options) -> Report:
    count = options.count(_PODS, 10)
    rounds, gone = [], []
    with crowd.agent(mode) as running:
        for _ in range(options.count(_ROUNDS, 1)):
            rounds.append(crowd.until_answered(running, count))
            gone.append(crowd.dismiss(running))
    again = sum(one.asked_again for one in rounds)
    return Report(
        figures=(
            Figure(f"{mode}: apply accepted", "s", tuple(one.accepted for one in rounds)),
            Figure(f"{mode}: {count} objects stored", "s", tuple(one.stored for one in rounds)),
            Figure(f"{mode}: sandboxes ready", "s", tuple(one.ready for one in rounds)),
            Figure(f"{mode}: all answered", "s", tuple(one.answered for one in rounds), _ANSWERED),
            Figure(f"{mode}: processor time of the agent", "s", tuple(one.agent_cpu for one in rounds)),
            Figure(f"{mode}: all gone after delete", "s", tuple(gone)),
        ),
        notes=(f"{mode}: {again} questions had to be asked twice",) if again else (),
    )
