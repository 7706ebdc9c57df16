"""The part of kubectl's JSONPath that scripts use: text with `{.a.b}`, `['key']`, `[0]`, `[-1]`, `[*]`, `..`-free.

`{range .items[*]}…{end}` repeats its body for each value. `{"\\n"}` is a string. Anything else is an error that
shows where, never an empty answer. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import click

_BLOCK = re.compile(r"\{([^{}]*)\}")
_STEP = re.compile(r"\.([\w-]+(?:\\\.[\w-]+)*)|\[['\"]([^'\"]+)['\"]\]|\[(-?\d+)\]|(\[\*\]|\.\*)|\.(?=\[)")
_ESCAPES = {r"\n": "\n", r"\t": "\t"}


def render(template: str, document: Any) -> str:
    """The template with every `{…}` replaced. A bare path may leave its braces out."""
    if "{" not in template:
        template = "{" + (template if template.startswith((".", "[", "$")) else f".{template}") + "}"
    return _render(_BLOCK.split(template), document)


def _render(parts: list[str], document: Any) -> str:
    """`parts` alternate: text, block, text, … text."""
    output, rest = parts[0], parts[1:]
    while rest:
        block, rest = rest[0].strip(), rest[1:]
        if block == "end":
            raise click.UsageError("{end} without {range}")
        if block.startswith("range "):
            body, rest = _until_end(rest)
            output += "".join(_render(body, value) for value in values(block.removeprefix("range "), document))
        elif block[:1] in ("'", '"'):
            output += _unescaped(block[1:-1])
        else:
            output += " ".join(_text(value) for value in values(block, document))
        output, rest = output + rest[0], rest[1:]
    return output


def _until_end(parts: list[str]) -> tuple[list[str], list[str]]:
    """What stands between a {range} and its {end}, and what follows."""
    depth = 1
    for index in range(1, len(parts), 2):
        block = parts[index].strip()
        depth += block.startswith("range ") - (block == "end")
        if depth == 0:
            return parts[:index], parts[index + 1 :]
    raise click.UsageError("{range} without {end}")


def values(path: str, document: Any) -> Iterator[Any]:
    """Every value that a path leads to; a missing field leads nowhere."""
    path = path.strip().removeprefix("$")
    found, position = [document], 0
    while position < len(path):
        step = _STEP.match(path, position)
        if step is None:
            if path[position:] == ".":
                break
            raise click.UsageError(f'cannot read jsonpath "{path}" from "{path[position:]}" on')
        found = [inner for value in found for inner in _inside(value, step)]
        position = step.end()
    yield from found


def _inside(value: Any, step: re.Match[str]) -> list[Any]:
    name, quoted, index, wildcard = step.groups()
    if name or quoted:
        key = quoted or name.replace("\\.", ".")
        return [value[key]] if isinstance(value, dict) and key in value else []
    if index:
        number = int(index)
        return [value[number]] if isinstance(value, list) and -len(value) <= number < len(value) else []
    if wildcard:
        return list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, list) else []
    return [value]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _unescaped(text: str) -> str:
    for written, meant in _ESCAPES.items():
        text = text.replace(written, meant)
    return text
