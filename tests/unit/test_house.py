"""The house rules that a machine can check: style, types, layers and doors, sizes, names, a theory on every module."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = [ROOT / name for name in ("agent", "cni", "csi")]
SCRIPTS = sorted(path for path in (ROOT / "scripts").iterdir() if path.is_file() and path.read_bytes().startswith(b"#!/usr/bin/python3"))
PYTHON = [ROOT / "scripts/bench.d", ROOT / "scripts/vm.d", ROOT / "tests", *PACKAGES, *SCRIPTS]

FILE_LINES, FUNCTION_LINES, THEORY_LINES = 400, 60, 15
EMPTY_NAMES = re.compile(r"(^|_)(utils?|helpers?|common|misc|stuff)(_|$)")
GENERATED = re.compile(r"_pb2(_grpc)?\.py$")


def complaints(tool: str, *arguments: str | Path) -> str:
    """What a tool of this virtual environment says; nothing if it is content."""
    command = [str(Path(sys.executable).with_name(tool)), *map(str, arguments)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return "" if result.returncode == 0 else result.stdout + result.stderr


@pytest.mark.spawns
@pytest.mark.parametrize("command", [("check", "--quiet"), ("format", "--check", "--quiet")], ids=["lint", "format"])
def test_ruff(command: tuple[str, ...]) -> None:
    assert complaints("ruff", *command, "--config", "scripts/ruff.toml", *(path for path in PYTHON if path.exists())) == ""


@pytest.mark.spawns
@pytest.mark.parametrize(
    "what",
    [
        ("-p", "agent", "-p", "cni", "-p", "csi"),
        ("-m", "tests.conftest"),
        ("scripts/bench.d",),
        ("-p", "disposable"),
        *((str(script),) for script in SCRIPTS),
    ],
    ids=lambda what: Path(what[1] if what[0] == "-p" else what[-1]).name,
)
def test_types_are_strict(what: tuple[str, ...]) -> None:
    assert complaints("mypy", "--config-file", "setup.cfg", *what) == ""


@pytest.mark.spawns
def test_layers_and_doors() -> None:
    assert complaints("lint-imports", "setup.cfg", "--no-logo") == ""


def modules() -> Iterator[tuple[Path, ast.Module, str]]:
    for package in PACKAGES:
        for path in sorted(package.rglob("*.py")):
            if not GENERATED.search(path.name):
                text = path.read_text(encoding="utf-8")
                yield path.relative_to(ROOT), ast.parse(text), text


def test_files_are_small() -> None:
    assert [f"{path}: {lines} lines" for path, _, text in modules() if (lines := text.count("\n")) > FILE_LINES] == []


def test_functions_are_small() -> None:
    functions = [
        (path, node) for path, tree, _ in modules() for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [
        f"{path}:{node.lineno} {node.name}: {lines} lines"
        for path, node in functions
        if (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
    ] == []


def test_every_module_opens_with_its_theory() -> None:
    wrong = []
    for path, tree, _ in modules():
        theory = ast.get_docstring(tree)
        if tree.body and theory is None:
            wrong.append(f"{path}: no docstring")
        elif theory is not None and path.name != "errors.py" and len(theory.splitlines()) > THEORY_LINES:  # it draws the tree
            wrong.append(f"{path}: {len(theory.splitlines())} lines of docstring")
    assert wrong == []


def test_names_say_what_a_module_is_about() -> None:
    assert [str(path) for path, _, _ in modules() if EMPTY_NAMES.search(path.stem)] == []


def test_the_rules_can_fail() -> None:
    """The checks above are only as good as their patterns."""
    assert EMPTY_NAMES.search("net_utils")
    assert EMPTY_NAMES.search("helper")
    assert not EMPTY_NAMES.search("commonality")
    assert len(list(modules())) > 20
