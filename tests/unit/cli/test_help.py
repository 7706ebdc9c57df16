"""Every command explains itself, with examples."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from agent.cli.main import cli, run


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from leaves(inner, (*path, name))
    else:
        yield path


@pytest.mark.parametrize("path", list(leaves(cli)), ids=" ".join)
def test_help_has_a_sentence_and_examples(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*path, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: podwright {' '.join(path)} ")
    assert f"podwright {' '.join(path)}" in text.partition("Examples:")[2]
    options = [line for line in text.splitlines() if line.startswith("  -")]
    assert all(len(line.split(None, 2)) > 1 for line in options)
