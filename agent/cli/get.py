"""podwright get: objects as a table, or for other programs."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

import click

from agent.api.client import Client, Document
from agent.cli.jsonpath import values
from agent.cli.output import Format, TableOptions, parse_format, print_documents, print_kind
from agent.cli.table_watch import follow
from agent.cli.targets import (
    Kind,
    Kinds,
    Scope,
    Target,
    documents,
    with_all_namespaces,
    with_namespace,
    with_selector,
)

_EXAMPLES = """\b
Examples:
  podwright get pods                          pods of the namespace "default"
  podwright get pods -A -o wide               of all namespaces, with addresses and node
  podwright get deploy/web -o yaml            one object, whole
  podwright get pods,deployments -l app=web   two kinds, by label
  podwright get pods -w                       and follow changes
  podwright get pod web-1 -o jsonpath={.status.podIPs[*].ip}
"""


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
def command(
    what: tuple[str, ...],
    namespace: str,
    all_namespaces: bool,
    selector: str,
    field_selector: str,
    output: str,
    watch: bool,
    show_labels: bool,
    no_headers: bool,
    sort_by: str,
    ignore_not_found: bool,
) -> int:
    """Show objects as a table, or as YAML or JSON."""
    form = parse_format(output)
    scope = Scope("" if all_namespaces else namespace, selector, field_selector)
    with Client() as client:
        targets = Kinds.of(client).targets(what)
        options = TableOptions(
            is_wide=form.name == "wide",
            has_namespace=all_namespaces,
            has_kind=len({target.kind.kind for target in targets}) > 1,
            has_labels=show_labels,
            has_header=not no_headers,
        )
        if watch:
            return follow(client, targets, scope, form, options)
        found, errors = _collected(client, targets, scope, ignore_not_found)
        _show(_sorted(found, sort_by), form, options, is_list=not all(target.name for target in targets) or len(targets) > 1)
        if not found and not errors and form.is_table:
            _say_nothing_found(scope, targets)
    return 1 if errors else 0
