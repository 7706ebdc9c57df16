"""podwright exec: a command inside a pod.

The agent answers with a plan (which namespaces, mounts, cgroup, user) and this process becomes the one that carries
it out, so that terminal, signals and exit status are the command's own and no byte of its output passes the agent.
The plan travels in a sealed memory file, inherited as a descriptor.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from dataclasses import dataclass

import click

from agent.api.client import Client, Document, object_path
from agent.cli.options import gathered, with_namespace
from agent.cli.terminal import print_warning

_EXAMPLES = """\b
Examples:
  podwright exec web-1 -- ip address
  podwright exec -it web-1 -- bash
  podwright exec web-1 -c proxy -e DEBUG=1 -- python3 -m http.server
  podwright exec --detach web-1 -- python3 -m http.server 8080
"""
_ENTER = ("-I", "-m", "agent.sandbox.enter")


@dataclass(frozen=True, slots=True)
class _Options:
    pod: str
    argv: tuple[str, ...]
    namespace: str
    container: str
    environment: tuple[str, ...]
    stdin: bool
    tty: bool
    detach: bool


@click.command(epilog=_EXAMPLES)
@click.option("-i", "--stdin", is_flag=True, help="Pass standard input on.")
@click.option("-t", "--tty", is_flag=True, help="The command shall have a terminal: fails without one.")
@click.option("-d", "--detach", is_flag=True, help="Start it and print its process number; its output goes to a log.")
@click.option("-c", "--container", default="", metavar="NAME", help="Whose settings to use; default: the first.")
@click.option("-e", "--env", "environment", multiple=True, metavar="NAME=VALUE", help="A variable more.")
@with_namespace
@click.argument("pod")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND [ARGUMENT]...")
@gathered(_Options)
def command(options: _Options) -> None:
    """Run a command inside a pod."""
    if options.tty and not sys.stdin.isatty():
        raise click.UsageError("--tty needs a terminal, and standard input is none")
    with Client() as client:
        answer = client.create(_path(options), _request(options))
    for warning in answer.get("warnings", ()):
        print_warning(warning)
    if not (options.stdin or options.tty):
        _close_input()
    os.execv(sys.executable, enter_command(plan_descriptor(answer["plan"])))  # noqa: S606 - the plan's process takes this one's place


def _path(options: _Options) -> str:
    name = options.pod.removeprefix("pod/").removeprefix("pods/")
    return object_path("v1", "pods", options.namespace, name) + "/exec"


def _request(options: _Options) -> Document:
    return {
        "command": list(options.argv),
        "container": options.container,
        "stdin": options.stdin,
        "tty": options.tty,
        "environment": dict(_pair(text) for text in options.environment),
        "detach": options.detach,
    }


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f'--env takes NAME=VALUE, not "{text}"')
    return name, value


def enter_command(descriptor: int) -> list[str]:
    return [sys.executable, *_ENTER, "--plan-fd", str(descriptor)]


def plan_descriptor(plan: Document) -> int:
    """An inheritable descriptor of a sealed memory file that holds the plan."""
    descriptor = os.memfd_create("podwright-plan", os.MFD_ALLOW_SEALING)
    os.write(descriptor, json.dumps(plan).encode())
    os.lseek(descriptor, 0, os.SEEK_SET)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
    return descriptor


def _close_input() -> None:
    """Without -i the command reads nothing, also where this one could."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
