"""The container runtime's side: which network configuration it takes first, and whether its plugins are there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from agent.cli.checks.machine import Machine
from agent.cli.checks.registry import Finding, check, fail, ok, warn
from cni import conflist

_GROUP = "other tools"
_PATTERNS = ("*.conf", "*.conflist", "*.json")


@check(_GROUP, "CNI configuration")
def configuration(machine: Machine) -> Iterator[Finding]:
    found = sorted(path for pattern in _PATTERNS for path in machine.files(str(conflist.CONF_DIR), pattern))
    if not found:
        yield ok("no network for container runtimes (podwright cni install makes this one)")
        return
    ours = [path for path in found if conflist.TYPE in _plugins(path)]
    if not ours:
        yield ok(f"container runtimes use another network ({found[0].name})")
    elif found[0] not in ours:
        cure = f"mv {conflist.CONF_DIR}/{found[0].name} {conflist.CONF_DIR}/{found[0].name}.disabled"
        yield fail(f"container runtimes use {found[0].name}, which sorts before {ours[0].name}", cure)
    else:
        yield ok(f"container runtimes use {ours[0].name}")
    yield from _missing_plugins(machine, found[0])


def _plugins(path: Path) -> list[str]:
    """The types that the file names; none where it cannot be read."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return [plugin["type"] for plugin in document.get("plugins", [document])]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []


def _missing_plugins(machine: Machine, file: Path) -> Iterator[Finding]:
    names = _plugins(file)
    if not names:
        yield warn(f"{file.name} names no plugin, or is no JSON: runtimes refuse it", f"look at {conflist.CONF_DIR}/{file.name}")
    directories = [str(directory) for directory in conflist.BIN_DIRS]
    missing = [name for name in names if not any(machine.files(directory, name) for directory in directories)]
    for name in missing:
        cure = "podwright cni install" if name == conflist.TYPE else "apt-get install containernetworking-plugins"
        yield fail(f"{file.name} names the plugin {name}, which is in none of {', '.join(directories)}", cure)
