"""What label and annotate share: KEY=VALUE sets, KEY- removes, and what is there is replaced only with --overwrite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click

from agent.api.client import Client
from agent.cli.options import dry_run_query
from agent.cli.targets import Found, Kinds, Scope, find_all
from agent.errors import AlreadyExists


@dataclass(frozen=True, slots=True)
class Options:
    words: tuple[str, ...]
    namespace: str
    all_namespaces: bool
    selector: str
    all: bool
    overwrite: bool
    dry_run: str


def change(field: str, verb: str, options: Options) -> None:
    """`field` is labels or annotations, `verb` what is printed when it is done."""
    what, changes = split(options.words)
    if not changes:
        raise click.UsageError("give at least one KEY=VALUE, or KEY- to remove it")
    with Client() as client:
        targets = Kinds.of(client).targets(what)
        if any(not target.name for target in targets) and not (options.selector or options.all):
            raise click.UsageError("name the objects, or give -l SELECTOR or --all")
        found = find_all(client, targets, Scope("" if options.all_namespaces else options.namespace, options.selector))
        for one in found:
            _refuse_overwriting(one, field, changes, options.overwrite)
        for one in found:
            client.patch(one.path, {"metadata": {field: changes}}, dry_run_query(options.dry_run))
            print(f"{one.title} {verb}{' (dry run)' if options.dry_run == 'server' else ''}")


def split(words: Sequence[str]) -> tuple[list[str], dict[str, str | None]]:
    """The words that name objects, and the changes behind them; None removes."""
    first = next((number for number, word in enumerate(words) if number and ("=" in word or word.endswith("-"))), len(words))
    changes: dict[str, str | None] = {}
    for word in words[first:]:
        key, equals, value = word.partition("=")
        if not equals and not word.endswith("-"):
            raise click.UsageError(f'"{word}" is neither KEY=VALUE nor KEY-')
        changes[key if equals else word.removesuffix("-")] = value if equals else None
    return list(words[:first]), changes


def _refuse_overwriting(one: Found, field: str, changes: dict[str, str | None], may_overwrite: bool) -> None:
    present = one.document["metadata"].get(field, {})
    for key, value in changes.items():
        if value is not None and present.get(key, value) != value and not may_overwrite:
            raise AlreadyExists(f"{one.title} has {key}={present[key]} already", hint="give --overwrite to replace it")
