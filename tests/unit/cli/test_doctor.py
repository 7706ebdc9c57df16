"""The report of doctor: its groups, its exit status, its JSON, and that one broken check hides no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.cli import doctor
from agent.cli.checks import machine as machines
from agent.cli.checks.machine import Agent, Machine
from agent.cli.checks.registry import Entry, Finding, fail, ok, warn
from agent.cli.main import run


@pytest.fixture(autouse=True)
def looked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A machine without anything; how it was asked for."""
    calls: list[dict[str, Any]] = []

    def look(config_file: Path | None = None, **options: Any) -> Machine:
        calls.append({"config": config_file, **options})
        return Machine(is_root=False, agent=Agent())

    monkeypatch.setattr(machines, "look", look)
    return calls


def broken(_: Machine) -> Iterator[Finding]:
    raise ZeroDivisionError("oops")
    yield


def fine(_: Machine) -> Iterator[Finding]:
    yield ok("all is well")


def odd(_: Machine) -> Iterator[Finding]:
    yield warn("a little odd", "write this:\n    two = lines")


def bad(_: Machine) -> Iterator[Finding]:
    yield fail("it is broken", "mend it")


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    found = [Entry("one", "fine", fine), Entry("two", "odd thing", odd)]
    monkeypatch.setattr(doctor, "entries", lambda: found)
    return found


def test_groups_titles_and_cures(checks: list[Entry], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor"]) == 0
    assert capsys.readouterr().out == (
        "ONE\n"
        "  ok    fine       all is well\n"
        "\n"
        "TWO\n"
        "  warn  odd thing  a little odd\n"
        "                   cure: write this:\n"
        "                       two = lines\n"
        "\n"
        "0 problems, 1 warning\n"
    )


def test_a_problem_is_exit_status_1(checks: list[Entry], capsys: pytest.CaptureFixture[str]) -> None:
    checks.append(Entry("two", "bad", bad))
    assert run(["doctor"]) == 1
    assert "FAIL  bad        it is broken\n                   cure: mend it\n" in capsys.readouterr().out
    assert run(["doctor", "--only", "one"]) == 0


def test_json(checks: list[Entry], capsys: pytest.CaptureFixture[str]) -> None:
    checks.append(Entry("two", "bad", bad))
    assert run(["doctor", "-o", "json", "--only", "bad"]) == 1
    expected = {"group": "two", "check": "bad", "level": "fail", "message": "it is broken", "cure": "mend it"}
    assert json.loads(capsys.readouterr().out) == [expected]


def test_a_check_that_breaks_is_a_finding(checks: list[Entry], capsys: pytest.CaptureFixture[str]) -> None:
    checks.insert(0, Entry("one", "broken", broken))
    assert run(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "FAIL  broken     the check itself failed: oops" in out
    assert "all is well" in out


def test_only_takes_a_check_or_a_group(checks: list[Entry], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--only", "Odd Thing"]) == 0
    assert "fine" not in capsys.readouterr().out
    assert run(["doctor", "--only", "nothing"]) == 2
    assert capsys.readouterr().err.startswith('error: no check "nothing": there are fine, odd thing\n')


def test_packets_are_sent_on_request_only(looked: list[dict[str, Any]], checks: list[Entry]) -> None:
    assert run(["doctor"]) == 0
    assert run(["doctor", "--probe", "--config", "/nowhere.yaml"]) == 0
    assert looked == [{"config": None, "may_probe": False}, {"config": Path("/nowhere.yaml"), "may_probe": True}]


def test_every_check_runs_on_a_machine_without_anything() -> None:
    """No root, no agent, no file: findings, but no failure of a check itself."""
    machine = Machine(root=Path("/nonexistent"), is_root=False)
    found = list(doctor.examine(machine))
    assert [one for one in found if "itself failed" in one.finding.message] == []
    assert all(bool(one.finding.cure) == (one.finding.level != "ok") for one in found)


def test_titles_are_unique_and_groups_hold_together() -> None:
    entries = doctor.entries()
    assert len({entry.title for entry in entries}) == len(entries) > 20
    groups = [entry.group for entry in entries]
    assert groups == sorted(groups, key=groups.index)
