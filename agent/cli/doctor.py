"""podwright doctor: what is wrong with this machine, each with its cure. Works with the agent down.

The checks are in agent/cli/checks, one module per subject, and the machine they judge is looked at once. The order of
CHECK_MODULES is that of the report. A check that itself fails is a finding, not the end.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import click

from agent.cli.checks import machine as machines
from agent.cli.checks.machine import Machine
from agent.cli.checks.registry import CHECKS, Entry, Finding, Level, fail
from agent.cli.terminal import BOLD, GREEN, RED, YELLOW, painted

_EXAMPLES = """\b
Examples:
  sudo podwright doctor
  podwright doctor -o json
  podwright doctor --only "node address" --probe
"""
CHECK_MODULES = ("agent", "leftovers", "kernel", "settings", "addresses", "mtu", "ports", "firewalls", "managers", "cni", "limits", "host")


@dataclass(frozen=True, slots=True)
class Found:
    group: str
    check: str
    finding: Finding


def entries() -> list[Entry]:
    """Every check there is, the groups in the order in which they first appear."""
    for module in CHECK_MODULES:
        importlib.import_module(f"agent.cli.checks.{module}")
    order = list(dict.fromkeys(entry.group for entry in CHECKS))
    return sorted(CHECKS, key=lambda entry: order.index(entry.group))


def examine(machine: Machine, only: str = "") -> Iterator[Found]:
    for entry in entries():
        if only.lower() in ("", entry.title.lower(), entry.group.lower()):
            yield from (Found(entry.group, entry.title, finding) for finding in _guarded(entry, machine))


def _guarded(entry: Entry, machine: Machine) -> Iterator[Finding]:
    try:
        yield from entry.check(machine)
    except Exception as error:  # noqa: BLE001 - one broken check must not hide the others
        yield fail(f"the check itself failed: {error}", "tell us: this is a defect of podwright")


@click.command(epilog=_EXAMPLES)
@click.option("--only", default="", metavar="CHECK", help="One check, or one group of them, by its title.")
@click.option("--probe", is_flag=True, help="Also send packets: is the node's address another machine's too?")
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="The agent's configuration file.")
@click.option("-o", "--output", type=click.Choice(["", "json"]), default="", help="json: for programs.")
def command(only: str, probe: bool, config: Path | None, output: str) -> int:
    """Check this machine, with a cure for each problem.

    The exit status is 1 when there is a problem, 0 when there are only warnings.
    """
    if only and not any(only.lower() in (entry.title.lower(), entry.group.lower()) for entry in entries()):
        raise click.UsageError(f'no check "{only}": there are {", ".join(entry.title for entry in entries())}')
    found = list(examine(machines.look(config, may_probe=probe), only))
    if output == "json":
        print(json.dumps([{"group": one.group, "check": one.check, **asdict(one.finding)} for one in found], indent=2))
    else:
        _print(found)
    return 1 if any(one.finding.level is Level.PROBLEM for one in found) else 0


_WORDS = {Level.PROBLEM: "problem", Level.WARNING: "warning"}
_MARKS = {Level.OK: ("ok", GREEN), Level.WARNING: ("warn", YELLOW), Level.PROBLEM: ("FAIL", RED)}


def _print(found: list[Found]) -> None:
    width = max((len(one.check) for one in found), default=0)
    for number, (group, members) in enumerate(groupby(found, key=lambda one: one.group)):
        print(("\n" if number else "") + painted(group.upper(), BOLD))
        for one in members:
            mark, colour = _MARKS[one.finding.level]
            print(f"  {painted(f'{mark:<4}', colour)}  {one.check:<{width}}  {one.finding.message}")
            if one.finding.cure:
                indent = " " * (width + 10)
                print(f"{indent}cure: " + one.finding.cure.replace("\n", f"\n{indent}"))
    counts = {word: sum(one.finding.level is level for one in found) for level, word in _WORDS.items()}
    print("\n" + ", ".join(f"{count} {word if count == 1 else word + 's'}" for word, count in counts.items()))
    sys.stdout.flush()
