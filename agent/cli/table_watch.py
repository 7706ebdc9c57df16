"""podwright get -w: the table first, then a line for every change, from where the list ended.

Columns keep the width they had, so that lines stay aligned; a cell that outgrows its column only moves its own line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click

from agent.api.client import Client, Document
from agent.cli.columns import Column
from agent.cli.output import Format, TableOptions, print_documents, row_columns, to_yaml
from agent.cli.targets import Found, Scope, Target
from agent.cli.terminal import table_lines
from agent.errors import Expired, NotFound


def follow(client: Client, targets: Sequence[Target], scope: Scope, form: Format, options: TableOptions) -> int:
    """Until interrupted."""
    if len(targets) != 1:
        raise click.UsageError("--watch follows one kind, or one object")
    (target,) = targets
    if target.name:
        scope = Scope(scope.namespace, scope.selector, f"metadata.name={target.name}")
    printer = _Table(row_columns(target.kind, options), has_header=options.has_header) if form.is_table else _Documents(target, form)
    path = scope.collection(target.kind)
    while True:
        listed = client.get(path, scope.query)
        if target.name and not listed["items"]:
            raise NotFound(f"{target} does not exist")
        printer.first(listed["items"])
        try:
            for event in client.watch(path, scope.query, resource_version=listed["metadata"]["resourceVersion"]):
                printer.change(event["object"])
                sys.stdout.flush()
        except Expired:
            continue


class _Table:
    def __init__(self, columns: Sequence[Column], *, has_header: bool) -> None:
        self._columns = columns
        self._has_header = has_header
        self._widths: list[int] = []

    def first(self, documents: Sequence[Document]) -> None:
        rows = [self._row(document) for document in documents]
        header = [column.title for column in self._columns]
        self._widths = [max(len(row[index]) for row in [header, *rows]) for index in range(len(header))]
        for line in table_lines([header, *rows])[0 if self._has_header else 1 :]:
            print(line)
        self._has_header = False
        sys.stdout.flush()

    def change(self, document: Document) -> None:
        cells = [cell.ljust(width) for cell, width in zip(self._row(document), self._widths, strict=True)]
        print("   ".join(cells).rstrip())

    def _row(self, document: Document) -> list[str]:
        return [column.text(document) for column in self._columns]


class _Documents:
    def __init__(self, target: Target, form: Format) -> None:
        self._target = target
        self._form = form

    def first(self, documents: Sequence[Document]) -> None:
        for document in documents:
            self.change(document)

    def change(self, document: Document) -> None:
        if self._form.name == "json":
            print(json.dumps(document))
        elif self._form.name == "yaml":
            print("---\n" + to_yaml(document), end="")
        else:
            print_documents([Found(self._target.kind, document)], self._form, is_list=False)
            if self._form.name == "jsonpath":
                print()
