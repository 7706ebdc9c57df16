"""Settings: defaults < file < environment < flags; what is wrong is named."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from agent import config
from agent.config import Mode
from agent.errors import InvalidObject


@pytest.fixture(autouse=True)
def _without_the_machines_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(config, "DEFAULT_FILE", tmp_path / "none.yaml")


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("nodeName: from-file\nnetwork: {mode: routed, mtu: 1400}\nlog: {level: debug}\n")
    environment = {"PODWRIGHT_NETWORK__MTU": "1300", "PODWRIGHT_LOG__LEVEL": "error"}
    found = config.load(file, environment, {"log.level": "trace"})
    assert (found.node_name, found.network.mode, found.network.mtu, found.log.level) == ("from-file", Mode.ROUTED, 1300, "trace")


def test_lists_are_separated_by_commas_in_the_environment() -> None:
    found = config.load(environment={"PODWRIGHT_NETWORK__POD_CIDRS": "10.9.0.0/24,fd09::/64"})
    assert found.network.pod_cidrs == (ip_network("10.9.0.0/24"), ip_network("fd09::/64"))


def test_a_misspelt_variable_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(InvalidObject, match="PODWRIGHT_NETWORK__MOED is no setting") as refused:
        config.load(environment={"PODWRIGHT_NETWORK__MOED": "routed"})
    assert refused.value.hint == "did you mean PODWRIGHT_NETWORK__MODE?"


def test_variables_of_others_are_left_alone() -> None:
    assert config.load(environment={"PODWRIGHT_SOCKET": "/x", "PODWRIGHT_BOX": "1"}).run_dir == "/run/podwright"


def test_a_misspelt_field_of_the_file_names_its_path(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("network: {moed: routed}\n")
    with pytest.raises(InvalidObject, match=r"unknown field `moed` - at `\$.network`"):
        config.load(file, {})


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(InvalidObject, match="cannot read configuration"):
        config.load(tmp_path / "nowhere.yaml", {})


def test_a_setting_that_is_no_more_names_the_way_out(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("network: {name: other}\n", encoding="utf-8")
    for load in (lambda: config.load(file, {}), lambda: config.load(None, {"PODWRIGHT_NETWORK__NAME": "other"})):
        with pytest.raises(InvalidObject, match=r"network\.name is no setting any more: .*delete the setting"):
            load()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"network.mtu": "1"}, "mtu 1 is not between 1280 and 65535"),
        ({"network.mtu": "70000"}, "mtu 70000 is not between 1280"),
        ({"network.mtu": "500", "network.podCIDRs": ["10.73.0.0/20"]}, "mtu 500 is not between 576"),
        ({"network.bridge": "a-name-that-is-too-long"}, "cannot be a bridge's name"),
        ({"network.bridge": "a/b"}, "cannot be a bridge's name"),
        ({"network.bridge": "lo"}, "cannot be a bridge's name"),
        ({"network.bridge": ""}, "cannot be a bridge's name"),
    ],
)
def test_what_the_kernel_would_refuse_is_refused_in_words(flags: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidObject, match=message):
        config.load(None, {}, flags)
