"""podwright status: how the agent sees itself."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import click

from agent.api.client import Client
from agent.cli.options import duration
from agent.cli.rates import per_second, samples
from agent.cli.terminal import BOLD, painted

_EXAMPLES = """\b
Examples:
  podwright status
  podwright status -o json
  podwright status --watch
"""
_FIRST_S = 0.5


@click.command(epilog=_EXAMPLES)
@click.option("-o", "--output", type=click.Choice(["", "json"]), default="", help="json: for programs.")
@click.option("-w", "--watch", is_flag=True, help="Again and again, with what happens per second.")
@click.option("--interval", type=duration, default="2s", show_default=True, help="With --watch: how often.")
def command(output: str, watch: bool, interval: float) -> None:
    """Show the agent's state."""
    with Client() as client:
        for status in _watched(client, interval) if watch else (client.get("/status"),):
            if watch and sys.stdout.isatty():
                print("\x1b[2J\x1b[H", end="")
            print(json.dumps(status, indent=2) if output == "json" else "\n".join(lines(status)), flush=True)


def _watched(client: Client, interval: float) -> Iterator[Mapping[str, Any]]:
    """For ever. The first rates are those of a moment, so that something is there to see."""
    before, then = samples(_metrics(client)), time.monotonic()
    pause = min(interval, _FIRST_S)
    while True:
        time.sleep(pause)
        now, here = samples(_metrics(client)), time.monotonic()
        yield {**client.get("/status"), "rates": per_second(before, now, here - then)}
        before, then, pause = now, here, interval


def _metrics(client: Client) -> str:
    return client.request("GET", "/metrics").body.decode()


def lines(status: Mapping[str, Any]) -> Iterator[str]:
    """Sections with aligned names."""
    for number, (section, content) in enumerate(status.items()):
        if number:
            yield ""
        yield painted(section.upper(), BOLD)
        pairs = content.items() if isinstance(content, Mapping) else [("", content)]
        width = max((len(str(name)) for name, _ in pairs), default=0)
        for name, value in pairs:
            yield f"  {name!s:<{width}}  {_text(value)}".rstrip()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_text(inner)}" for name, inner in value.items()) or "none"
    return str(value)
