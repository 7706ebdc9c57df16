"""podwright apply: what manifests say becomes what the agent wants."""

from __future__ import annotations

from collections.abc import Sequence

import click

from agent.api.client import Client, Document
from agent.api.failure import from_status
from agent.cli.manifests import Manifest, read
from agent.cli.options import dry_run_query, with_dry_run, with_namespace
from agent.cli.terminal import print_error, print_warning
from agent.errors import InvalidObject, PodwrightError

_EXAMPLES = """\b
Examples:
  podwright apply -f web.yaml
  podwright apply -f manifests/ -n shop            every .yaml, .yml and .json file of a directory
  podwright apply -f web.yaml --dry-run=server     only check
  podwright export pods | ssh other podwright apply -f -
"""


@click.command(epilog=_EXAMPLES)
@click.option(
    "-f", "--filename", "names", multiple=True, required=True, metavar="PATH", help="A file, a directory, or - for standard input."
)
@click.option("-R", "--recursive", is_flag=True, help="Directories with what is in them.")
@with_namespace
@with_dry_run
def command(names: Sequence[str], recursive: bool, namespace: str, dry_run: str) -> int:
    """Create or change objects from manifests.

    A file with a mistake changes nothing. Fields that the manifest had when it was last applied and has no longer are
    removed; fields that others set stay; lists are replaced as a whole.
    """
    failed = False
    with Client() as client:
        for manifest in read(names, is_recursive=recursive):
            query = {"namespace": namespace, "source": manifest.source, **dry_run_query(dry_run)}
            failed |= not _apply(client, manifest, query, suffix=" (dry run)" if dry_run == "server" else "")
    return 1 if failed else 0


def _apply(client: Client, manifest: Manifest, query: dict[str, str], *, suffix: str) -> bool:
    try:
        result = client.apply(manifest.text, query)
    except InvalidObject as error:
        print_error(error.message, problems=error.problems, hint=error.hint)
        return False
    return print_items(result["items"], suffix=suffix)


def print_items(items: Sequence[Document], *, suffix: str = "") -> bool:
    """What became of each object; whether all went well."""
    for item in items:
        title = title_of(item)
        for warning in item["warnings"]:
            print_warning(f"{title}: {warning}")
        if item["error"] is None:
            print(f"{title} {item['result']}{suffix}")
    errors: list[PodwrightError] = [from_status(item["error"]) for item in items if item["error"] is not None]
    for error in errors:
        print_error(error.message, hint=error.hint)
    return not errors


def title_of(item: Document) -> str:
    """deployment.apps/web, as kubectl writes it."""
    group = item["apiVersion"].rpartition("/")[0]
    return f"{item['kind'].lower()}{'.' if group else ''}{group}/{item['name']}"
