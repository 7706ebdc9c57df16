"""The command `podwright`: finds the subcommand, runs it, and turns errors into two lines and an exit status.

A subcommand's module is imported when it is used, so that a command starts in a tenth of a second whatever the
others need. Exit status: 0 done; 1 it failed ("error: …", and "hint: …" with the way out, on stderr); 2 the command
line is wrong; 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys

import click

from agent.api.client import SOCKET_VARIABLE
from agent.cli.terminal import print_error
from agent.errors import InvalidObject, PodwrightError

PROGRAM = "podwright"

COMMANDS = {
    "agent": "Run the agent in the foreground",
    "annotate": "Set or remove annotations",
    "apply": "Create or change objects from manifests",
    "cni": "Put the CNI plugin where a container runtime finds it",
    "completion": "Print a shell's completion script",
    "csi": "Serve volumes through the Container Storage Interface",
    "delete": "Delete objects",
    "describe": "Show everything about an object, with its events",
    "doctor": "Check this machine, with a cure for each problem",
    "events": "Show what happened",
    "exec": "Run a command inside a pod",
    "export": "Print objects as manifests that can be applied elsewhere",
    "get": "Show objects as a table, or as YAML or JSON",
    "label": "Set or remove labels",
    "policy": "Ask what network policy allows, and why",
    "pool": "Show, make and remove the pools that volumes are in",
    "rollout": "Follow or restart a Deployment",
    "scale": "Set the number of replicas",
    "status": "Show the agent's state",
    "top": "Show the use of CPU and memory",
    "version": "Show the versions of command and agent",
    "volume": "Show volumes, copy, grow and check them",
    "wait": "Wait for a condition or a deletion",
}


class _Commands(click.Group):
    """Knows every subcommand by name and help line; imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"agent.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    PROGRAM,
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Every command explains itself with examples: podwright COMMAND --help",
)
@click.option("--socket", envvar=SOCKET_VARIABLE, metavar="PATH", help="The agent's socket; default /run/podwright/agent.sock.")
def cli(socket: str | None) -> None:
    """Pods, networks and volumes on this machine."""
    if socket:
        os.environ[SOCKET_VARIABLE] = socket


def main(arguments: list[str] | None = None) -> None:
    """The console script."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    if strange := [word for word in words if not _is_text(word)]:
        print_error(f"argument {os.fsencode(strange[0])!r} is not UTF-8, which is all that the agent reads")
        return 2
    try:
        result = cli.main(args=arguments, prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as help_:
        print(help_.format_message())
        return 0
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else PROGRAM
        print_error(_lowered(error.format_message()), hint=f"see {path} --help")
        return 2
    except click.ClickException as error:
        print_error(_lowered(error.format_message()))
        return 1
    except PodwrightError as error:
        print_error(error.message, problems=error.problems if isinstance(error, InvalidObject) else (), hint=error.hint)
        return 1
    except (KeyboardInterrupt, click.Abort):
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the interpreter's last flush is quiet too
        return 141
    return result if isinstance(result, int) else 0


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:].removesuffix(".")


if __name__ == "__main__":
    main()
