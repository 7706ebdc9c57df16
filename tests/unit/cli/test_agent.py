"""podwright agent: flags become the configuration that the daemon runs with."""

from __future__ import annotations

import sys
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace

import pytest

import agent
from agent.cli.main import run
from agent.config import Config, Mode


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """Every configuration the daemon was started with, instead of starting it."""
    found: list[Config] = []
    daemon = SimpleNamespace(run=found.append)
    monkeypatch.setitem(sys.modules, "agent.daemon", daemon)
    monkeypatch.setattr(agent, "daemon", daemon, raising=False)
    return found


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "config.yaml"
    path.write_text("nodeName: from-file\nnetwork: {mode: routed, mtu: 1400}\n")
    return str(path)


def test_flags_win_over_the_file(started: list[Config], file: str) -> None:
    arguments = ["--node-name", "n7", "--pod-cidr", "10.80.0.0/20", "--pod-cidr", "fd80::/64", "--no-controllers", "--log-json"]
    assert run(["agent", "--config", file, *arguments]) == 0
    (config,) = started
    assert (config.node_name, config.network.mode, config.network.mtu) == ("n7", Mode.ROUTED, 1400)
    assert config.network.pod_cidrs == (ip_network("10.80.0.0/20"), ip_network("fd80::/64"))
    assert (config.controllers, config.log.json) == (False, True)


def test_what_no_flag_says_stays(started: list[Config], file: str) -> None:
    assert run(["agent", "--config", file]) == 0
    (config,) = started
    assert (config.node_name, config.controllers, config.log.json) == ("from-file", True, False)


def test_any_setting_by_its_name(started: list[Config], file: str) -> None:
    assert run(["agent", "--config", file, "--set", "network.mtu=1280", "--set", "network.nodeIPs=192.0.2.1,2001:db8::1"]) == 0
    assert started[0].network.mtu == 1280
    assert [str(address) for address in started[0].network.node_ips] == ["192.0.2.1", "2001:db8::1"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--set", "network.mut=1"], 1, "mut"),
        (["--set", "nonsense"], 2, '--set takes NAME=VALUE, not "nonsense"'),
        (["--network-mode", "magic"], 2, "'magic' is not one of"),
        (["--pod-cidr", "10.0.0.1/8"], 1, "10.0.0.1/8"),
        (["--config", "/nowhere/config.yaml"], 1, "cannot read configuration /nowhere/config.yaml"),
    ],
)
def test_a_wrong_setting_starts_nothing(
    started: list[Config], capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, message: str
) -> None:
    assert run(["agent", *arguments]) == status
    assert message in capsys.readouterr().err
    assert started == []
