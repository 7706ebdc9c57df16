"""podwright label: set or remove labels."""

from __future__ import annotations

import click

from agent.cli.metadata import Options, change
from agent.cli.options import gathered, with_all_namespaces, with_dry_run, with_namespace, with_selector

_EXAMPLES = """\b
Examples:
  podwright label pod web-1 tier=front
  podwright label deploy/web tier-                    remove it
  podwright label pods -l app=web tier=back --overwrite
"""


@click.command(epilog=_EXAMPLES)
@click.argument("words", nargs=-1, required=True, metavar="KIND NAME... KEY=VALUE... | KEY-...")
@with_namespace
@with_all_namespaces
@with_selector
@click.option("--all", is_flag=True, help="Every object of the kind.")
@click.option("--overwrite", is_flag=True, help="Replace a value that is there.")
@with_dry_run
@gathered(Options)
def command(options: Options) -> None:
    """Set or remove labels."""
    change("labels", "labeled", options)
