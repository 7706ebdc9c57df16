"""Tear-down that goes on after an error and reports all of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agent.errors import InternalError, PodwrightError, SeveralErrors


def run_all(steps: Iterable[Callable[[], object]]) -> None:
    """Run every step. One failure is raised as it is, several as SeveralErrors."""
    failures: list[PodwrightError] = []
    for step in steps:
        try:
            step()
        except PodwrightError as error:
            failures.append(error)
        except OSError as error:
            failures.append(InternalError(str(error)))
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise SeveralErrors(failures)
