"""What pods carry is counted, and stays counted when they are gone."""

from __future__ import annotations

import re
import subprocess

import pytest

from agent.cli.rates import samples
from tests.places import OUTSIDE_ADDRESS, make_pods, manifest, run
from tests.running import PODWRIGHT, ROOT, RunningAgent

pytestmark = [pytest.mark.kernel, pytest.mark.needs("ping")]
PINGS = 50


def counted(agent: RunningAgent) -> tuple[float, float]:
    """Packets from and to pods."""
    with agent.client as client:
        found = samples(client.request("GET", "/metrics").body.decode())
    return found['podwright_pod_packets_total{direction="from"}'], found['podwright_pod_packets_total{direction="to"}']


def test_packets_of_pods_are_counted(agent: RunningAgent) -> None:
    (pod,) = make_pods(agent, manifest("a"))
    before = counted(agent)
    run(pod.place, f"ping -q -c {PINGS} -i 0.002 {OUTSIDE_ADDRESS[4]}")
    after = counted(agent)
    assert all(PINGS <= now - then < PINGS + 30 for now, then in zip(after, before, strict=True))

    agent.cli("delete", "pod", "a")
    agent.wait_for_pods(0)
    assert all(now >= then for now, then in zip(counted(agent), after, strict=True))


def test_status_watch_shows_what_happens_per_second(agent: RunningAgent) -> None:
    (pod,) = make_pods(agent, manifest("a"))
    watch = [*PODWRIGHT, "--socket", str(agent.socket_path), "status", "--watch", "--interval", "0.3"]
    with subprocess.Popen(watch, cwd=ROOT, stdout=subprocess.PIPE, text=True) as watching:
        run(pod.place, f"ping -q -w 2 -i 0.002 {OUTSIDE_ADDRESS[4]}")
        watching.terminate()
        shown = watching.stdout.read() if watching.stdout else ""
    assert max(map(int, re.findall(r"packets from pods +(\d+)/s", shown))) > 100
