"""Manifests from files, directories and standard input. They are read, not parsed: the agent does that."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Manifest:
    source: str
    text: bytes


def read(names: Sequence[str], *, is_recursive: bool = False) -> Iterator[Manifest]:
    """Raises click.ClickException for what cannot be read, before anything is sent."""
    yield from [manifest for name in names for manifest in _read_one(name, is_recursive)]


def _read_one(name: str, is_recursive: bool) -> Iterator[Manifest]:
    if name == "-":
        yield Manifest("standard input", sys.stdin.buffer.read())
        return
    path = Path(name)
    files = _files(path, is_recursive) if path.is_dir() else [path]
    if not files:
        raise click.ClickException(f"{name} holds no {', '.join(_SUFFIXES)} file")
    for file in files:
        try:
            yield Manifest(str(file), file.read_bytes())
        except OSError as error:
            raise click.ClickException(f"cannot read {file}: {(error.strerror or str(error)).lower()}") from None


def _files(directory: Path, is_recursive: bool) -> list[Path]:
    found = directory.rglob("*") if is_recursive else directory.iterdir()
    return sorted(path for path in found if path.suffix in _SUFFIXES and path.is_file())
