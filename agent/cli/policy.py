"""podwright policy: what policy says of a connection, who may reach whom, and what a manifest would change."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import click

from agent.api.client import Client, Document
from agent.cli.manifests import read
from agent.cli.options import gathered, with_all_namespaces, with_namespace
from agent.cli.terminal import GREEN, RED, YELLOW, painted, table_lines

_EXPLAIN_EXAMPLES = """\b
Examples:
  podwright policy explain web-1 shop/db --port 5432      from a pod here to one of the namespace shop
  podwright policy explain 192.0.2.7 web-1 --port 80      from outside
  podwright policy explain web-1 1.1.1.1 --port 53 --protocol udp
  podwright policy explain web-1 web-2 --protocol icmp    an echo request
"""
_MATRIX_EXAMPLES = """\b
Examples:
  podwright policy matrix -n shop                         on the ports that pods declare by name
  podwright policy matrix -A --port 80                    of all namespaces, on one port
  podwright policy matrix -n shop --diff -f policy.yaml   what applying the file would change; nothing is applied
"""
_YES, _NO = "yes", "-"


@click.group()
def command() -> None:
    """Ask what network policy allows, and why."""


@command.command(epilog=_EXPLAIN_EXAMPLES)
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@with_namespace
@click.option("--port", default="", metavar="NUMBER", help="The destination's port; default 80.")
@click.option("--protocol", default="", metavar="NAME", help="tcp, udp, sctp, icmp, icmpv6 or a number; default tcp.")
def explain(source: str, destination: str, namespace: str, port: str, protocol: str) -> None:
    """Say whether SRC may reach DST, what decides it at each end, and what would have to change.

    SRC and DST are pods, as POD or NAMESPACE/POD, or addresses.
    """
    query = {"from": source, "to": destination, "namespace": namespace, "port": port, "protocol": protocol}
    with Client() as client:
        verdicts = client.get("/policy/explain", query)["items"]
    for number, (_, alike) in enumerate(groupby(verdicts, key=_told)):
        if number:
            print()
        for line in explanation(list(alike)):
            print(line)


def explanation(verdicts: Sequence[Document]) -> Iterator[str]:
    """Verdicts of several families that say the same."""
    first = verdicts[0]
    word = painted("allowed", GREEN) if first["allowed"] else painted("denied", RED)
    port = f" port {first['port']}" if first["port"] else ""
    ends = " to ".join(_place(verdicts, end) for end in ("source", "destination"))
    yield f"{ends}, {first['protocol']}{port}: {word}"
    sides = [(way, first[way]) for way in ("egress", "ingress") if first[way] is not None]
    if not sides:
        yield "  policy has no say: neither end is a pod, or both are the same"
    width = max((len(f"{way} of {side['pod']}") for way, side in sides), default=0)
    for way, side in sides:
        title = f"{way} of {side['pod']}"
        elsewhere = "" if side["here"] else " (enforced by the pod's own node)"
        yield f"  {title:<{width}}  {side['sentence']}{elsewhere}"
        for logged in side["logged"]:
            yield f"  {'':<{width}}  logged by {logged}"
        if side["cure"] and (not side["allowed"] or first["allowed"]):
            yield f"  {'':<{width}}  {side['cure']}"


def _told(verdict: Document) -> list[object]:
    return [verdict["allowed"], *((side["sentence"], side["cure"]) if (side := verdict[way]) else None for way in ("egress", "ingress"))]


def _place(verdicts: Sequence[Document], end: str) -> str:
    addresses = ", ".join(dict.fromkeys(verdict[end]["address"] for verdict in verdicts))
    place = verdicts[0][end]
    if place["pod"]:
        return f"{place['pod']} ({addresses})"
    return f"{addresses} (this node)" if place["node"] else addresses


@dataclass(frozen=True, slots=True)
class _MatrixOptions:
    namespace: str
    all_namespaces: bool
    port: str
    protocol: str
    diff: bool
    filename: tuple[str, ...]

    @property
    def query(self) -> dict[str, str]:
        return {"namespace": "" if self.all_namespaces else self.namespace, "port": self.port, "protocol": self.protocol}


@command.command(epilog=_MATRIX_EXAMPLES)
@with_namespace
@with_all_namespaces
@click.option("--port", default="", metavar="NUMBER", help="One port instead of those that pods declare by name.")
@click.option("--protocol", default="", metavar="NAME", help="tcp, udp, sctp, icmp, icmpv6 or a number.")
@click.option("--diff", is_flag=True, help="Show what a manifest would change.")
@click.option("-f", "--filename", multiple=True, metavar="FILE", help="With --diff: a file, a directory, or - for standard input.")
@gathered(_MatrixOptions)
def matrix(options: _MatrixOptions) -> None:
    """Show who may reach whom: a row for each source, a column for each destination."""
    if options.diff != bool(options.filename):
        raise click.UsageError("--diff and -f belong together")
    with Client() as client:
        if options.diff:
            manifest = b"\n---\n".join(found.text for found in read(options.filename))
            body = client.request("POST", "/policy/changes", options.query, manifest, "application/yaml").document
            lines = list(change_lines(body["items"]))
        else:
            lines = list(matrix_lines(client.get("/policy/matrix", options.query)["items"], shutil.get_terminal_size().columns))
    if not lines:
        print("no two pods have an address" if not options.diff else "nothing would change", file=sys.stderr)
    for line in lines:
        print(line)


def matrix_lines(cells: Sequence[Document], columns: int) -> Iterator[str]:
    """Destinations get numbers where their names would not fit into a line."""
    if not cells:
        return
    pods = list(dict.fromkeys(name for cell in cells for name in (cell["source"], cell["destination"])))
    found = {(cell["source"], cell["destination"]): cell for cell in cells}
    rows = [[source, *(_cell(found.get((source, destination))) for destination in pods)] for source in pods]
    titles = pods
    if len(table_lines([["FROM \\ TO", *titles], *rows])[0]) > columns:
        titles = [str(number) for number in range(1, len(pods) + 1)]
        rows = [[f"{number} {source}", *row] for number, (source, *row) in enumerate(rows, 1)]
    header, *lines = table_lines([["FROM \\ TO", *titles], *rows])
    yield header
    names = [row[0] for row in rows]
    for name, line in zip(names, lines, strict=True):
        yield name + _coloured(line[len(name) :])


def _cell(cell: Document | None) -> str:
    if cell is None:
        return "."
    if cell["allowed"] == cell["asked"]:
        return _YES
    return ",".join(cell["allowed"]) or _NO


def _coloured(text: str) -> str:
    """Each word by what it says; blanks as they are."""
    return "".join(_painted_word(word) for word in _words(text))


def _words(text: str) -> Iterator[str]:
    for _, group in groupby(text, key=str.isspace):
        yield "".join(group)


def _painted_word(word: str) -> str:
    if word.isspace() or word == ".":
        return word
    return painted(word, GREEN if word == _YES else RED if word == _NO else YELLOW)


def change_lines(changes: Sequence[Document]) -> Iterator[str]:
    opened = sum(change["isOpened"] for change in changes)
    for change in changes:
        sign, word, colour = ("+", "allowed", GREEN) if change["isOpened"] else ("-", "denied", RED)
        yield painted(f"{sign} {change['source']} to {change['destination']} {change['port']}: now {word}", colour)
    if changes:
        yield f"{opened} opened, {len(changes) - opened} closed"
