"""What a check is: a function from a Machine to Findings, on a list, under a group and a title.

A finding says in one line what is so, and why it matters; its cure is a command or a setting that can be typed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from agent.cli.checks.machine import Machine


class Level(StrEnum):
    OK = "ok"
    WARNING = "warn"
    PROBLEM = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """`cure`: a command or a setting, several lines if it is a file; empty when nothing is wrong."""

    level: Level
    message: str
    cure: str = ""


def ok(message: str) -> Finding:
    return Finding(Level.OK, message)


def warn(message: str, cure: str) -> Finding:
    return Finding(Level.WARNING, message, cure)


def fail(message: str, cure: str) -> Finding:
    return Finding(Level.PROBLEM, message, cure)


Check = Callable[[Machine], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Entry:
    group: str
    title: str
    check: Check


CHECKS: list[Entry] = []
"""In the order of their modules, and in these of the source."""


def check(group: str, title: str) -> Callable[[Check], Check]:
    """Register a check. Groups are printed together; a title is one or two words."""

    def register(function: Check) -> Check:
        CHECKS.append(Entry(group, title, function))
        return function

    return register
