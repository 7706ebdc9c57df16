"""Options that several commands share, and their values as one typed thing instead of ten parameters."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from agent.cli.targets import DEFAULT_NAMESPACE
from agent.cli.terminal import seconds_of

NAMESPACE_VARIABLE = "PODWRIGHT_NAMESPACE"
DRY_RUN_CHOICES = ("none", "server")

OptionsT = TypeVar("OptionsT")
ResultT = TypeVar("ResultT")
_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


def with_namespace(function: _Decorated) -> _Decorated:
    """-n NAMESPACE"""
    text = "The namespace."
    return click.option("-n", "--namespace", default=DEFAULT_NAMESPACE, show_default=True, envvar=NAMESPACE_VARIABLE, help=text)(function)


def with_all_namespaces(function: _Decorated) -> _Decorated:
    """-A"""
    return click.option("-A", "--all-namespaces", is_flag=True, help="Objects of every namespace.")(function)


def with_selector(function: _Decorated) -> _Decorated:
    """-l SELECTOR"""
    text = "Only objects with these labels: app=web,tier!=test."
    return click.option("-l", "--selector", default="", metavar="SELECTOR", help=text)(function)


def with_dry_run(function: _Decorated) -> _Decorated:
    """--dry-run=server"""
    text = "server: let the agent check everything and store nothing."
    return click.option("--dry-run", type=click.Choice(DRY_RUN_CHOICES), default="none", help=text)(function)


def dry_run_query(dry_run: str) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run == "server" else {}


def gathered(kind: type[OptionsT]) -> Callable[[Callable[[OptionsT], ResultT]], Callable[..., ResultT]]:
    """Hand a command its parameters as one value of a dataclass with the same names."""

    def decorate(function: Callable[[OptionsT], ResultT]) -> Callable[..., ResultT]:
        @wraps(function)
        def call(**values: Any) -> ResultT:
            return function(kind(**values))

        return call

    return decorate


def duration(text: str) -> float:
    """A parameter type: "90s", "2m", "1h30m", or a number of seconds."""
    seconds = seconds_of(text)
    if seconds is None:
        raise click.BadParameter(f'"{text}" is not a duration: write 30s, 5m or 1h30m')
    return seconds


def examples(*lines: str) -> str:
    """A command's epilog."""
    return "\b\n" + "\n".join(("Examples:", *(f"  {line}" for line in lines))) + "\n"
