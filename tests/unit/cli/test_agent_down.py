"""What works, and what is said, when no agent answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cli.main import run


@pytest.fixture(autouse=True)
def _no_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODWRIGHT_SOCKET", str(tmp_path / "agent.sock"))


@pytest.mark.parametrize("arguments", [["get", "pods"], ["status"], ["apply", "-f", __file__], ["exec", "web", "--", "true"]])
def test_the_way_out_is_named(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 1
    assert capsys.readouterr().err == (
        f"error: cannot reach the agent at {tmp_path}/agent.sock: no such file or directory\n"
        "hint: start it: systemctl start podwright, or: sudo podwright agent\n"
    )


def test_version_still_tells_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["version"]) == 0
    assert "agent    does not answer" in capsys.readouterr().out


def test_cni_install_and_uninstall(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = ["--conf-dir", str(tmp_path / "net.d"), "--bin-dir", str(tmp_path / "bin")]
    assert run(["cni", "install", *places]) == 0
    assert str(tmp_path / "agent.sock") in (tmp_path / "bin" / "podwright").read_text()
    assert run(["cni", "uninstall", *places]) == 0
    assert not list((tmp_path / "net.d").iterdir())
    assert not list((tmp_path / "bin").iterdir())
    assert "removed" in capsys.readouterr().out


def test_cni_install_says_that_containerd_wants_a_loopback_plugin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = ["--conf-dir", str(tmp_path / "net.d"), "--bin-dir", str(tmp_path / "bin")]
    run(["cni", "install", *places])
    assert f"needs the plugin loopback in {tmp_path / 'bin'}" in capsys.readouterr().out
    (tmp_path / "bin" / "loopback").touch()
    run(["cni", "install", *places])
    assert "loopback" not in capsys.readouterr().out
