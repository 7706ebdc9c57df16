"""How objects are printed: as a table, or in a form for other programs (-o yaml|json|name|jsonpath=…)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from agent.api.client import Document
from agent.cli.columns import Column, columns
from agent.cli.jsonpath import render
from agent.cli.targets import Found, Kind
from agent.cli.terminal import print_table

FORMATS = ("wide", "yaml", "json", "name")


@dataclass(frozen=True, slots=True)
class Format:
    """`name` "" is the plain table."""

    name: str = ""
    template: str = ""

    @property
    def is_table(self) -> bool:
        return self.name in ("", "wide")


def parse_format(text: str) -> Format:
    name, equals, template = text.partition("=")
    if name == "jsonpath" and equals:
        return Format(name, template)
    if text and text not in FORMATS:
        raise click.UsageError(f'unknown output format "{text}": use {", ".join(FORMATS)} or jsonpath=TEMPLATE')
    return Format(text)


def to_yaml(document: Any) -> str:
    import yaml  # noqa: PLC0415 - 18 ms that only this format needs

    text: str = yaml.dump(document, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False, allow_unicode=True, width=1000)
    return text


def print_documents(found: Sequence[Found], form: Format, *, is_list: bool) -> None:
    """In a form for programs. `is_list`: the caller asked for many, so even one comes as a List."""
    if form.name == "name":
        for one in found:
            print(one.title)
        return
    items = [one.document for one in found]
    whole = {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items} if is_list else items[0]
    if form.name == "jsonpath":
        print(render(form.template, whole), end="")
    elif form.name == "json":
        print(json.dumps(whole, indent=2, ensure_ascii=False))
    else:
        print(to_yaml(whole), end="")


@dataclass(frozen=True, slots=True)
class TableOptions:
    is_wide: bool = False
    has_namespace: bool = False
    has_kind: bool = False
    has_labels: bool = False
    has_header: bool = True


def row_columns(kind: Kind, options: TableOptions) -> list[Column]:
    """The columns of one kind's table, with what the options put around them."""
    shown = columns(kind.kind, is_wide=options.is_wide)
    if options.has_kind:
        name = next(column for column in shown if column.title in ("NAME", "OBJECT"))
        prefixed = Column(name.title, lambda document: f"{kind.prefix}/{name.text(document)}")
        shown[shown.index(name)] = prefixed
    if options.has_namespace and kind.namespaced:
        shown.insert(0, Column("NAMESPACE", lambda document: str(document["metadata"].get("namespace", ""))))
    if options.has_labels:
        shown.append(Column("LABELS", _labels))
    return shown


def print_kind(kind: Kind, found: Sequence[Document], options: TableOptions) -> None:
    shown = row_columns(kind, options)
    rows = [[column.text(document) for column in shown] for document in found]
    print_table([column.title for column in shown], rows, has_header=options.has_header)


def _labels(document: Document) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(document["metadata"].get("labels", {}).items())) or "<none>"
