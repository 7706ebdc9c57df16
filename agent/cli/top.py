"""podwright top: CPU and memory in use, as the kernel counts them."""

from __future__ import annotations

import sys

import click

from agent.api.client import Client, Document
from agent.cli.options import with_all_namespaces, with_namespace
from agent.cli.terminal import print_table

_NODE_EXAMPLES = """\b
Examples:
  podwright top node
"""
_PODS_EXAMPLES = """\b
Examples:
  podwright top pods
  podwright top pods -A --sort-by=memory
"""
_MIB = 1 << 20


_ALIASES = {"nodes": "node", "no": "node", "pod": "pods", "po": "pods"}


class _Words(click.Group):
    """Takes the words for kinds that other commands take."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, _ALIASES.get(cmd_name, cmd_name))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        _, found, rest = super().resolve_command(ctx, args)
        return found.name if found else None, found, rest


@click.group(cls=_Words)
def command() -> None:
    """Show the use of CPU and memory."""


@command.command(epilog=_NODE_EXAMPLES)
def node() -> None:
    """Of this machine."""
    with Client() as client:
        rows = [
            [
                item["name"],
                _cpu(item),
                f"{item['cpuPercent']:.0f}%",
                _memory(item),
                f"{item['memoryPercent']:.0f}%",
            ]
            for item in client.get("/top/node")["items"]
        ]
    print_table(["NAME", "CPU(cores)", "CPU%", "MEMORY(bytes)", "MEMORY%"], rows)


@command.command(epilog=_PODS_EXAMPLES)
@with_namespace
@with_all_namespaces
@click.option(
    "--sort-by", type=click.Choice(["cpu", "memory", "name"]), default="name", show_default=True, help="The largest first, or by name."
)
def pods(namespace: str, all_namespaces: bool, sort_by: str) -> None:
    """Of the processes in each pod."""
    with Client() as client:
        items = client.get("/top/pods", {} if all_namespaces else {"namespace": namespace})["items"]
    if not items:
        print("no pod has been measured" + ("" if all_namespaces else f" in namespace {namespace}"), file=sys.stderr)
        return
    field = {"cpu": "cpuMillicores", "memory": "memoryBytes"}.get(sort_by)
    items.sort(key=lambda item: (-item[field] if field else 0, item["namespace"], item["name"]))
    header, rows = ["NAMESPACE", "NAME", "CPU(cores)", "MEMORY(bytes)"], [[i["namespace"], i["name"], _cpu(i), _memory(i)] for i in items]
    first = 0 if all_namespaces else 1
    print_table(header[first:], [row[first:] for row in rows])


def _cpu(item: Document) -> str:
    return f"{item['cpuMillicores']}m"


def _memory(item: Document) -> str:
    return f"{item['memoryBytes'] // _MIB}Mi"
