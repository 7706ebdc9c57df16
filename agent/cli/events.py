"""podwright events: what happened, oldest first."""

from __future__ import annotations

import sys

import click

from agent.api.client import Client, Document, collection_path
from agent.cli.columns import columns
from agent.cli.options import with_all_namespaces, with_namespace
from agent.cli.targets import Kinds
from agent.cli.terminal import print_table

_EXAMPLES = """\b
Examples:
  podwright events
  podwright events --for pod/web-1
  podwright events -A --types=Warning
  podwright events -w
"""


@click.command(epilog=_EXAMPLES)
@click.option("--for", "subject", default="", metavar="KIND/NAME", help="Only what happened to one object.")
@click.option("--types", default="", metavar="TYPE", help="Only Normal or only Warning.")
@click.option("-w", "--watch", is_flag=True, help="Go on and show what happens.")
@with_namespace
@with_all_namespaces
def command(subject: str, types: str, watch: bool, namespace: str, all_namespaces: bool) -> None:
    """Show what happened."""
    with Client() as client:
        path = collection_path("v1", "events", "" if all_namespaces else namespace)
        query = {"fieldSelector": ",".join(_selectors(client, subject, types))}
        listed = client.get(path, query)
        shown = columns("Event", is_wide=False)
        events = sorted(listed["items"], key=_last_seen)
        if events or watch:
            print_table([column.title for column in shown], [[column.text(event) for column in shown] for event in events])
        else:
            print("no events", file=sys.stderr)
        if watch:
            sys.stdout.flush()
            for event in client.watch(path, query, resource_version=listed["metadata"]["resourceVersion"]):
                if event["type"] != "DELETED":
                    print("   ".join(column.text(event["object"]) for column in shown), flush=True)


def _selectors(client: Client, subject: str, types: str) -> list[str]:
    chosen = [f"type={types}"] if types else []
    if subject:
        (target,) = Kinds.of(client).targets([subject])
        chosen += [f"involvedObject.kind={target.kind.kind}", f"involvedObject.name={target.name}"]
    return chosen


def _last_seen(event: Document) -> str:
    return str(event.get("lastTimestamp") or event["metadata"].get("creationTimestamp") or "")
