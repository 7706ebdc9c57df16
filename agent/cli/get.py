"""podwright get: objects as a table, or for other programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import click

from agent.api.client import Client
from agent.cli import runtime_pods
from agent.cli.jsonpath import values
from agent.cli.options import gathered, with_all_namespaces, with_namespace, with_selector
from agent.cli.output import TableOptions, parse_format, print_documents, print_kind
from agent.cli.table_watch import follow
from agent.cli.targets import Found, Kinds, Scope, Target, find
from agent.cli.terminal import print_error

_EXAMPLES = """\b
Examples:
  podwright get pods                          pods of the namespace "default"
  podwright get pods -A -o wide               of all namespaces, with addresses and node
  podwright get deploy/web -o yaml            one object, whole
  podwright get pods,deployments -l app=web   two kinds, by label
  podwright get pods -w                       and follow changes
  podwright get pod web-1 -o jsonpath={.status.podIPs[*].ip}
"""


@dataclass(frozen=True, slots=True)
class _Options:
    what: tuple[str, ...]
    namespace: str
    all_namespaces: bool
    selector: str
    field_selector: str
    output: str
    watch: bool
    show_labels: bool
    no_headers: bool
    sort_by: str
    ignore_not_found: bool

    @property
    def scope(self) -> Scope:
        return Scope("" if self.all_namespaces else self.namespace, self.selector, self.field_selector)

    def table(self, targets: Sequence[Target]) -> TableOptions:
        return TableOptions(
            is_wide=self.output == "wide",
            has_namespace=self.all_namespaces,
            has_kind=len({target.kind.kind for target in targets}) > 1,
            has_labels=self.show_labels,
            has_header=not self.no_headers,
        )


@click.command(epilog=_EXAMPLES)
@click.argument("what", nargs=-1, required=True, metavar="KIND[,KIND] [NAME]... | KIND/NAME...")
@with_namespace
@with_all_namespaces
@with_selector
@click.option("--field-selector", default="", metavar="SELECTOR", help="Such as status.phase=Pending.")
@click.option("-o", "--output", default="", metavar="FORMAT", help="wide, yaml, json, name or jsonpath=TEMPLATE.")
@click.option("-w", "--watch", is_flag=True, help="Go on and show every change.")
@click.option("--show-labels", is_flag=True, help="Labels as the last column.")
@click.option("--no-headers", is_flag=True, help="No line with the columns' names.")
@click.option("--sort-by", default="", metavar="PATH", help="age, name, or a JSONPath such as .spec.nodeName.")
@click.option("--ignore-not-found", is_flag=True, help="An object that does not exist is no error.")
@gathered(_Options)
def command(options: _Options) -> int:
    """Show objects as a table, or as YAML or JSON."""
    form = parse_format(options.output)
    with Client() as client:
        targets = Kinds.of(client).targets(options.what)
        if options.watch:
            return follow(client, targets, options.scope, form, options.table(targets))
        others = runtime_pods.rows(client, targets, options.scope) if form.is_table else []
        found, missing = find(client, runtime_pods.without(targets, others), options.scope)
    found = sorted([*found, *others], key=lambda one: [target.kind for target in targets].index(one.kind))
    ordered = _sorted(found, options.sort_by)
    if form.is_table:
        _print_tables(ordered, options, targets)
    elif found or not missing:
        print_documents(ordered, form, is_list=len(targets) > 1 or not targets[0].name)
    if options.ignore_not_found:
        return 0
    for error in missing:
        print_error(error.message, hint=error.hint)
    return 1 if missing else 0


def _print_tables(found: Sequence[Found], options: _Options, targets: Sequence[Target]) -> None:
    tables = [(kind, list(group)) for kind, group in groupby(found, key=lambda one: one.kind)]
    for number, (kind, group) in enumerate(tables):
        if number:
            print()
        print_kind(kind, [one.document for one in group], options.table(targets))
    if not found and not all(target.name for target in targets):
        where = "" if options.all_namespaces or not targets[0].kind.namespaced else f" in namespace {options.namespace}"
        print(f"no {', '.join(target.kind.plural for target in targets)} found{where}", file=sys.stderr)


def _sorted(found: Sequence[Found], path: str) -> list[Found]:
    """By a value of each object, kinds kept together; those without it come first."""
    if not path:
        return list(found)
    steps = {"age": ".metadata.creationTimestamp", "name": ".metadata.name"}.get(path, path.strip("{}"))
    order = {one.kind.kind: number for number, one in reversed(list(enumerate(found)))}
    return sorted(found, key=lambda one: (order[one.kind.kind], _sort_key(next(values(steps, one.document), None))))


def _sort_key(value: Any) -> tuple[int, float, str]:
    if value is None:
        return (0, 0.0, "")
    if isinstance(value, int | float):
        return (1, float(value), "")
    return (2, 0.0, value if isinstance(value, str) else json.dumps(value))
