"""Tear-down that goes on after an error and reports all of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agent.errors import PodwrightError


def run_all(steps: Iterable[Callable[[], object]]) -> None:
    """Run every step. One failure is raised as it is, several as an ExceptionGroup."""
    failures: list[PodwrightError] = []
    for step in steps:
        try:
            step()
        except PodwrightError as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise ExceptionGroup("tear-down went on after errors", failures)
