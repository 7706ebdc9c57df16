"""podwright version: of this command, and of the agent that answers it."""

from __future__ import annotations

import json

import click

import agent
from agent.api.client import Client
from agent.errors import Unavailable

_EXAMPLES = """\b
Examples:
  podwright version
  podwright version --client
  podwright version -o json
"""


@click.command(epilog=_EXAMPLES)
@click.option("--client", "is_client_only", is_flag=True, help="Of the command only; asks no agent.")
@click.option("-o", "--output", type=click.Choice(["", "json"]), default="", help="json: for programs.")
def command(is_client_only: bool, output: str) -> None:
    """Show the versions of command and agent."""
    found: dict[str, object] = {"client": {"version": agent.__version__}}
    if not is_client_only:
        try:
            with Client() as client:
                found["agent"] = client.get("/version")
        except Unavailable:
            found["agent"] = None
    if output == "json":
        print(json.dumps(found))
        return
    print(f"command  {agent.__version__}")
    if not is_client_only:
        answer = found["agent"]
        print(f"agent    {_agent_line(answer) if isinstance(answer, dict) else 'does not answer'}")


def _agent_line(answer: dict[str, str]) -> str:
    return f"{answer['version']} (Python {answer['python']}, Linux {answer['kernel']})"
