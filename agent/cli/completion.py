"""podwright completion: the script that lets a shell complete this command's words."""

from __future__ import annotations

import click

_EXAMPLES = """\b
Examples:
  podwright completion bash > /etc/bash_completion.d/podwright
  source <(podwright completion zsh)
  podwright completion fish > ~/.config/fish/completions/podwright.fish
"""
_VARIABLE = "_PODWRIGHT_COMPLETE"


@click.command(epilog=_EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print a shell's completion script."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - only here

    completion = get_completion_class(shell)
    assert completion is not None
    made = completion(context.find_root().command, {}, "podwright", _VARIABLE)
    print(made.source_template % made.source_vars())
