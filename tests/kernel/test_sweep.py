"""A container that died without a DEL: its address comes back, and an attachment that lives is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.kernel import mount, netns
from tests.kernel.test_first_packet import cni
from tests.running import RunningAgent

pytestmark = pytest.mark.kernel


def held(agent: RunningAgent) -> int:
    (usage,) = [text for name, text in agent.client.get("/status")["network"].items() if name == "pod CIDR 10.73.0.0/20"]
    return int(usage.split(" used")[0])


def test_what_a_dead_container_held_is_given_back_and_what_lives_stays(agent: RunningAgent, tmp_path: Path) -> None:
    netns.ensure_root(tmp_path)
    for name in ("lives", "dies"):
        netns.create(tmp_path / name, kinds=("net",))
        cni(agent, "ADD", tmp_path / name)
    assert held(agent) == 2
    netns.remove(tmp_path / "dies")
    body = "CNI_COMMAND=GC\0CNI_PATH=/x\0\0" + '{"cniVersion":"1.1.0","name":"first","type":"podwright"}'
    deadline = 200
    while held(agent) != 1 and (deadline := deadline - 1):  # the kernel takes its time with a namespace that ends
        agent.client.request("POST", "/cni", body=body.encode())
    assert held(agent) == 1
    agent.restart()
    assert held(agent) == 1
    cni(agent, "DEL", tmp_path / "lives")
    assert held(agent) == 0
    netns.remove(tmp_path / "lives")
    mount.remove_(tmp_path)
