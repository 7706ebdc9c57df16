"""Man pages: one for every command, made from its help, and without a word that man complains about."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from agent.cli.main import cli

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.spawns


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("man1")
    subprocess.run([sys.executable, "scripts/man", directory], cwd=ROOT, check=True)
    return {path.stem: path for path in directory.glob("*.1")}


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, f"{path}-{name}")


EVERY = dict(commands(cli, "podwright"))


def test_there_is_one_for_every_command_and_no_other(pages: dict[str, Path]) -> None:
    assert pages.keys() == {name for name, command in EVERY.items() if not command.hidden}


@pytest.mark.parametrize("name", [name for name, command in EVERY.items() if not command.hidden])
def test_every_option_and_example_is_there(pages: dict[str, Path], name: str) -> None:
    text = pages[name].read_text().replace(r"\-", "-").replace(r"\&", "").replace(r"\e", "\\")
    options = [option for parameter in EVERY[name].params if isinstance(parameter, click.Option) for option in parameter.opts]
    assert [option for option in options if option not in text] == []
    examples = [line.strip() for line in (EVERY[name].epilog or "").splitlines() if line.startswith("  ")]
    assert [line for line in examples if line not in text] == []
    assert text.startswith(f'.TH "{name.upper()}" 1')


@pytest.mark.needs("man")
def test_man_has_nothing_to_complain_about(pages: dict[str, Path]) -> None:
    for page in pages.values():
        done = subprocess.run(["man", "-l", "--warnings", page], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        assert "SYNOPSIS" in done.stdout


def test_it_explains_itself() -> None:
    done = subprocess.run([sys.executable, "scripts/man", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("scripts/man DIRECTORY")
    assert subprocess.run([sys.executable, "scripts/man"], cwd=ROOT, capture_output=True, check=False).returncode == 2
