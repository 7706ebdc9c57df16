"""podwright wait: until objects have a condition, a value, or are gone."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import click

from agent.api.client import Client, Document
from agent.cli.columns import at
from agent.cli.jsonpath import values
from agent.cli.options import duration, gathered, with_all_namespaces, with_namespace, with_selector
from agent.cli.targets import Kinds, Scope, find
from agent.cli.waiting import Test, wait_until
from agent.errors import NotFound

_EXAMPLES = """\b
Examples:
  podwright wait pod/web-1 --for=condition=PodReadyToStartContainers
  podwright wait pods -l app=web --for=condition=PodReadyToStartContainers --timeout=2m
  podwright wait pod/web-1 --for=delete
  podwright wait deploy/web --for=jsonpath={.status.updatedReplicas}=3
  podwright wait pod/web-1 --for=jsonpath={.status.podIP}      any value
"""


@dataclass(frozen=True, slots=True)
class _Options:
    what: tuple[str, ...]
    goal: str
    timeout: float
    namespace: str
    all_namespaces: bool
    selector: str
    all: bool


@click.command(epilog=_EXAMPLES)
@click.argument("what", nargs=-1, required=True, metavar="KIND [NAME]... | KIND/NAME...")
@click.option("--for", "goal", required=True, metavar="GOAL", help="condition=TYPE[=STATUS], delete, or jsonpath={PATH}[=VALUE].")
@click.option("--timeout", type=duration, default="30s", show_default=True, help="For all objects together.")
@with_namespace
@with_all_namespaces
@with_selector
@click.option("--all", is_flag=True, help="Every object of the kind.")
@gathered(_Options)
def command(options: _Options) -> None:
    """Wait for a condition or a deletion."""
    is_done, what = goal_test(options.goal)
    deadline = time.monotonic() + options.timeout
    with Client() as client:
        targets = Kinds.of(client).targets(options.what)
        if any(not target.name for target in targets) and not (options.selector or options.all):
            raise click.UsageError("name the objects, or give -l SELECTOR or --all")
        found, missing = find(client, targets, Scope("" if options.all_namespaces else options.namespace, options.selector))
        if what != "gone" and (missing or not found):
            raise missing[0] if missing else NotFound("no object matches")
        for one in found:
            wait_until(client, one, is_done, what, deadline)
            print(f"{one.title} {'deleted' if what == 'gone' else 'condition met'}")


def goal_test(goal: str) -> tuple[Test, str]:
    """What --for means, as a test and in words."""
    kind, _, rest = goal.partition("=")
    if goal == "delete":
        return (lambda current: current is None), "gone"
    if kind == "condition" and rest:
        type_, _, status = rest.partition("=")
        return _condition_test(type_, status or "True"), f"{type_}={status or 'True'}"
    if kind == "jsonpath" and rest:
        path, value = _path_and_value(rest)
        return _value_test(path, value), f"{path}={value}" if value is not None else f"given {path}"
    raise click.UsageError(f'cannot wait for "{goal}": use condition=TYPE[=STATUS], delete or jsonpath={{PATH}}[=VALUE]')


def _condition_test(type_: str, status: str) -> Test:
    def has_condition(current: Document | None) -> bool:
        conditions = at(current, "status.conditions", ())
        return any(entry["type"].lower() == type_.lower() and entry["status"].lower() == status.lower() for entry in conditions)

    return has_condition


def _path_and_value(text: str) -> tuple[str, str | None]:
    path, brace, value = text.partition("}")
    if not brace:
        path, equals, value = text.partition("=")
        return path, value if equals else None
    return path.lstrip("{"), value.removeprefix("=") if value.startswith("=") else None


def _value_test(path: str, wanted: str | None) -> Test:
    def has_value(current: Document | None) -> bool:
        found = [] if current is None else [value if isinstance(value, str) else json.dumps(value) for value in values(path, current)]
        return bool(found) if wanted is None else wanted in found

    return has_value
