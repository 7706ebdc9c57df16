"""podwright doctor: what is wrong with this machine, each with its cure. Works with the agent down.

A check is a function that yields Findings; `@check("title")` puts it on the list, in the order of the source. More
checks live in the modules of CHECK_MODULES, imported only here. A check that itself fails is a finding, not the end.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum

import click

from agent.api.client import Client
from agent.cli.terminal import GREEN, RED, YELLOW, painted
from agent.errors import PodwrightError

_EXAMPLES = """\b
Examples:
  sudo podwright doctor
  podwright doctor -o json
  podwright doctor --only network
"""
CHECK_MODULES: tuple[str, ...] = ()
"""Modules whose import adds checks."""

_LEAST_KERNEL = (5, 10)


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """`cure`: a command or a setting; empty when nothing is wrong."""

    level: Level
    message: str
    cure: str = ""


Check = Callable[[], Iterator[Finding]]
CHECKS: dict[str, Check] = {}


def check(title: str) -> Callable[[Check], Check]:
    """Register a check under a title of one or two words."""

    def register(function: Check) -> Check:
        CHECKS[title] = function
        return function

    return register


@check("agent")
def _agent() -> Iterator[Finding]:
    try:
        with Client(timeout_s=5) as client:
            version = client.get("/version")["version"]
            yield Finding(Level.OK, f"agent {version} answers at {client.socket_path}")
            client.request("GET", "/readyz")
    except PodwrightError as error:
        yield Finding(Level.PROBLEM, error.message, error.hint)


@check("rights")
def _rights() -> Iterator[Finding]:
    if os.geteuid() == 0:
        yield Finding(Level.OK, "running as root")
    else:
        yield Finding(Level.WARNING, "not running as root: some checks see less", "sudo podwright doctor")


@check("kernel")
def _kernel() -> Iterator[Finding]:
    release = os.uname().release
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2])
    if numbers >= _LEAST_KERNEL:
        yield Finding(Level.OK, f"Linux {release}")
    else:
        yield Finding(Level.PROBLEM, f"Linux {release} is older than {_LEAST_KERNEL[0]}.{_LEAST_KERNEL[1]}", "boot a newer kernel")


def examine(only: str = "") -> Iterator[tuple[str, Finding]]:
    """Every finding under its check's title."""
    for module in CHECK_MODULES:
        importlib.import_module(module)
    for title, function in CHECKS.items():
        if only in ("", title):
            yield from ((title, finding) for finding in _guarded(function))


def _guarded(function: Check) -> Iterator[Finding]:
    try:
        yield from function()
    except Exception as error:  # noqa: BLE001 - one broken check must not hide the others
        yield Finding(Level.PROBLEM, f"the check itself failed: {error}")


@click.command(epilog=_EXAMPLES)
@click.option("--only", default="", metavar="CHECK", help="One check, by its title.")
@click.option("-o", "--output", type=click.Choice(["", "json"]), default="", help="json: for programs.")
def command(only: str, output: str) -> int:
    """Check this machine, with a cure for each problem.

    The exit status is 1 when there is a problem, 0 when there are only warnings.
    """
    found = list(examine(only))
    if only and not found:
        raise click.UsageError(f'no check "{only}": there are {", ".join(CHECKS)}')
    if output == "json":
        print(json.dumps([{"check": title, **asdict(finding)} for title, finding in found], indent=2))
    else:
        _print(found)
    return 1 if any(finding.level is Level.PROBLEM for _, finding in found) else 0


_MARKS = {Level.OK: ("ok", GREEN), Level.WARNING: ("warn", YELLOW), Level.PROBLEM: ("FAIL", RED)}


def _print(found: list[tuple[str, Finding]]) -> None:
    width = max(len(title) for title, _ in found)
    for title, finding in found:
        mark, colour = _MARKS[finding.level]
        print(f"{painted(f'{mark:<4}', colour)}  {title:<{width}}  {finding.message}")
        if finding.cure:
            print(f"{'':<{width + 8}}cure: {finding.cure}")
    sys.stdout.flush()
