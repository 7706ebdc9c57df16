"""podwright delete: by name, by label, or whatever a manifest names."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import click

from agent.api.client import Client, Document
from agent.api.failure import from_status
from agent.cli.apply import title_of
from agent.cli.manifests import read
from agent.cli.options import dry_run_query, duration, gathered, with_all_namespaces, with_dry_run, with_namespace, with_selector
from agent.cli.targets import Found, Kinds, Scope, find
from agent.cli.terminal import print_error
from agent.cli.waiting import wait_until
from agent.errors import NotFound, PodwrightError

_EXAMPLES = """\b
Examples:
  podwright delete pod web-1
  podwright delete deploy/web --wait=false
  podwright delete pods -l app=web --grace-period=0
  podwright delete -f web.yaml --ignore-not-found
  podwright delete pods --all -n shop
"""


@dataclass(frozen=True, slots=True)
class _Options:
    what: tuple[str, ...]
    names: tuple[str, ...]
    recursive: bool
    namespace: str
    all_namespaces: bool
    selector: str
    all: bool
    grace_period: int | None
    wait: bool
    timeout: float
    ignore_not_found: bool
    dry_run: str

    @property
    def query(self) -> dict[str, str]:
        grace = {} if self.grace_period is None else {"gracePeriodSeconds": str(self.grace_period)}
        return {**grace, **dry_run_query(self.dry_run)}

    @property
    def is_waiting(self) -> bool:
        return self.wait and self.dry_run != "server"

    @property
    def suffix(self) -> str:
        return " (dry run)" if self.dry_run == "server" else ""


@click.command(epilog=_EXAMPLES)
@click.argument("what", nargs=-1, metavar="[KIND[,KIND] [NAME]... | KIND/NAME...]")
@click.option(
    "-f", "--filename", "names", multiple=True, metavar="PATH", help="Delete what a file, a directory or - (standard input) names."
)
@click.option("-R", "--recursive", is_flag=True, help="Directories with what is in them.")
@with_namespace
@with_all_namespaces
@with_selector
@click.option("--all", is_flag=True, help="Every object of the kind.")
@click.option("--grace-period", type=click.IntRange(min=0), metavar="SECONDS", help="How long a pod's processes may take to end.")
@click.option("--wait/--no-wait", default=True, help="Wait until the objects are gone (default).")
@click.option("--timeout", type=duration, default="5m", show_default=True, help="How long to wait.")
@click.option("--ignore-not-found", is_flag=True, help="An object that does not exist is no error.")
@with_dry_run
@gathered(_Options)
def command(options: _Options) -> int:
    """Delete objects."""
    if bool(options.what) == bool(options.names):
        raise click.UsageError("name what to delete: KIND NAME, KIND/NAME, KIND with -l or --all, or -f FILE")
    with Client() as client:
        kinds = Kinds.of(client)
        if options.names:
            gone, errors = _by_manifest(client, kinds, options)
        else:
            gone, errors = _by_name(client, kinds, options)
        for error in errors:
            print_error(error.message, hint=error.hint)
        if options.is_waiting:
            _wait(client, gone, options.timeout)
    return 1 if errors else 0


def _by_name(client: Client, kinds: Kinds, options: _Options) -> tuple[list[Found], Sequence[PodwrightError]]:
    targets = kinds.targets(options.what)
    if any(not target.name for target in targets) and not (options.selector or options.all):
        raise click.UsageError(f"name the {targets[0].kind.plural} to delete, or give -l SELECTOR or --all")
    scope = Scope("" if options.all_namespaces else options.namespace, options.selector)
    found, missing = find(client, targets, scope)
    for one in found:
        client.delete(one.path, {**options.query}, {"preconditions": {"uid": one.document["metadata"]["uid"]}})
        print(f"{one.title} deleted{options.suffix}")
    return found, [] if options.ignore_not_found else missing


def _by_manifest(client: Client, kinds: Kinds, options: _Options) -> tuple[list[Found], Sequence[PodwrightError]]:
    gone: list[Found] = []
    errors: list[PodwrightError] = []
    for manifest in read(options.names, is_recursive=options.recursive):
        query = {"namespace": options.namespace, "source": manifest.source, **options.query}
        for item in client.delete_manifest(manifest.text, query)["items"]:
            if item["error"] is not None:
                errors.append(from_status(item["error"]))
            elif item["result"] == "absent":
                if not options.ignore_not_found:
                    errors.append(NotFound(f"{title_of(item)} does not exist"))
            else:
                print(f"{title_of(item)} deleted{options.suffix}")
                gone.append(Found(kinds.of_document(item), {"metadata": _metadata(item)}))
    return gone, errors


def _metadata(item: Document) -> Document:
    return {"name": item["name"], "namespace": item["namespace"]}


def _wait(client: Client, gone: Sequence[Found], timeout_s: float) -> None:
    """A new object under the old name means that the old one is gone."""
    deadline = time.monotonic() + timeout_s
    for one in gone:
        uid = one.document["metadata"].get("uid")

        def is_gone(current: Document | None, uid: str | None = uid) -> bool:
            return current is None or (uid is not None and current["metadata"]["uid"] != uid)

        wait_until(client, one, is_gone, "gone", deadline)
