"""What a type says about a document: everything that is wrong, at once, each with its path.

msgspec stops at the first error; people fixing a manifest want all of them, and a suggestion. So this walks the
document beside msgspec's description of the type, collects problems and unknown fields, and returns the document
in a shape that msgspec.convert accepts: nulls left out (Kubernetes takes null for "not set"), scalars plain.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from agent.objects.meta import decode_hook
from agent.objects.quantity import Quantity
from agent.objects.scalar import Plain, describe, plain


@dataclass(frozen=True, slots=True)
class UnknownField:
    """`near`: what the writer may have meant."""

    path: str
    value: Any
    near: str = ""

    def __str__(self) -> str:
        return f"{self.path}: unknown field" + (f', did you mean "{self.near}"?' if self.near else "")


@dataclass(slots=True)
class Findings:
    problems: list[str] = field(default_factory=list)
    unknown: list[UnknownField] = field(default_factory=list)


def check(document: Any, wanted: type[msgspec.Struct], path: str = "") -> tuple[Any, Findings]:
    """The document without nulls and unknown fields, and what was found. `path` is where it stands in a larger one."""
    findings = Findings()
    return _value(document, type_info(wanted), path, findings), findings


def take_unknown(document: Any, wanted: type[msgspec.Struct]) -> tuple[Any, dict[str, Any]]:
    """The document without the fields that `wanted` does not know, and those by path."""
    clean, findings = check(document, wanted)
    return clean, {unknown.path: plain(unknown.value) for unknown in findings.unknown}


_STEP = re.compile(r"([^.\[\]]+)|\[([^\]]*)\]")


def place(document: dict[str, Any], path: str, value: Any) -> None:
    """Put back what `take_unknown` took; what stood around it may be gone, then it goes too."""
    *parents, last = [(name, index) for name, index in _STEP.findall(path)]
    spot: Any = document
    for name, index in parents:
        if isinstance(spot, list):
            spot = spot[int(index)] if int(index) < len(spot) else None
        elif isinstance(spot, dict):
            spot = spot.setdefault(name, {}) if name else spot.get(index)
    if isinstance(spot, dict):
        spot.setdefault(last[0] or last[1], value)


@cache
def type_info(wanted: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(wanted)


def join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _value(raw: Any, wanted: inspect.Type, path: str, findings: Findings) -> Any:
    checker = _CHECKERS.get(type(wanted))
    return plain(raw) if checker is None else checker(raw, wanted, path, findings)


def _struct(raw: Any, wanted: inspect.StructType, path: str, findings: Findings) -> Any:
    if not isinstance(raw, dict):
        return _wrong(raw, "a mapping", path, findings)
    fields = {known.encode_name: known for known in wanted.fields}
    clean = {}
    for name, value in raw.items():
        if name not in fields:
            findings.unknown.append(UnknownField(join(path, name), value, _near(name, fields)))
        elif not _is_unset(value, fields[name]):
            clean[name] = _value(value, fields[name].type, join(path, name), findings)
    for known in wanted.fields:
        if known.required and known.encode_name not in clean:
            findings.problems.append(f"{join(path, known.encode_name)}: is required and missing")
    return clean


def _is_unset(raw: Any, known: inspect.Field) -> bool:
    """Null always; an empty string where a choice or an address is wanted, as Go writes and reads a value that is not set."""
    return raw is None or (isinstance(raw, Plain) and raw.value is None) or (raw == "" and not known.required and _is_word(known.type))


def _is_word(wanted: inspect.Type) -> bool:
    if isinstance(wanted, inspect.UnionType):
        return any(_is_word(member) for member in wanted.types)
    return isinstance(wanted, inspect.EnumType | inspect.LiteralType | inspect.CustomType)


def _near(name: str, fields: Mapping[str, inspect.Field]) -> str:
    """The known name that is most like it; else the place one level down where this name is known."""
    folded = {known.lower(): known for known in fields}
    found = difflib.get_close_matches(name.lower(), [*folded], 1, 0.7)
    if found:
        return folded[found[0]]
    for known in fields.values():
        inner, suffix = _inner_struct(known.type)
        if inner is not None and any(name == deeper.encode_name for deeper in inner.fields):
            return f"{known.encode_name}{suffix}.{name}"
    return ""


def _inner_struct(wanted: inspect.Type) -> tuple[inspect.StructType | None, str]:
    if isinstance(wanted, inspect.StructType):
        return wanted, ""
    if isinstance(wanted, inspect.VarTupleType):
        return _inner_struct(wanted.item_type)[0], "[]"
    if isinstance(wanted, inspect.UnionType):
        return next((found for member in wanted.types if (found := _inner_struct(member))[0]), (None, ""))
    return None, ""


def _list(raw: Any, wanted: inspect.VarTupleType, path: str, findings: Findings) -> Any:
    if not isinstance(raw, list):
        return _wrong(raw, "a list", path, findings)
    return [_value(item, wanted.item_type, f"{path}[{index}]", findings) for index, item in enumerate(raw)]


def _dict(raw: Any, wanted: inspect.DictType, path: str, findings: Findings) -> Any:
    if not isinstance(raw, dict):
        return _wrong(raw, "a mapping", path, findings)
    is_text = isinstance(wanted.value_type, inspect.StrType)
    return {
        key: "" if is_text and plain(value) is None else _value(value, wanted.value_type, f"{path}[{key}]", findings)
        for key, value in raw.items()
    }


def _union(raw: Any, wanted: inspect.UnionType, path: str, findings: Findings) -> Any:
    members = [member for member in wanted.types if not isinstance(member, inspect.NoneType)]
    if len(members) == 1:
        return _value(raw, members[0], path, findings)
    value = plain(raw)
    if isinstance(value, int | str) and not isinstance(value, bool):
        return value
    return _wrong(raw, "an integer or a string", path, findings)


def _text(raw: Any, _: inspect.Type, path: str, findings: Findings) -> Any:
    if isinstance(raw, str):
        return raw
    value = plain(raw)
    cure = "" if value is None or isinstance(value, dict | list) else f'; quote it: "{describe(raw)}"'
    return _wrong(raw, "a string", path, findings, cure)


def _integer(raw: Any, _: inspect.Type, path: str, findings: Findings) -> Any:
    value = plain(raw)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    is_quoted = isinstance(raw, str) and re.fullmatch(r"-?\d+", raw)
    return _wrong(raw, "an integer", path, findings, "; remove the quotes" if is_quoted else "")


def _number(raw: Any, _: inspect.Type, path: str, findings: Findings) -> Any:
    value = plain(raw)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return _wrong(raw, "a number", path, findings)


def _boolean(raw: Any, _: inspect.Type, path: str, findings: Findings) -> Any:
    value = plain(raw)
    if isinstance(value, bool):
        return value
    return _wrong(raw, "true or false", path, findings, "; remove the quotes" if raw in ("true", "false") else "")


def _choice(raw: Any, allowed: list[Any], path: str, findings: Findings) -> Any:
    if isinstance(raw, str) and raw in allowed:
        return raw
    words = [str(word) for word in allowed]
    folded = {word.lower(): word for word in words}
    near = difflib.get_close_matches(raw.lower(), [*folded], 1) if isinstance(raw, str) else []
    choices = words[0] if len(words) == 1 else ", ".join(word or '""' for word in words[:-1]) + f" or {words[-1]}"
    return _wrong(raw, choices, path, findings, f', did you mean "{folded[near[0]]}"?' if near and len(words) > 1 else "")


def _enum(raw: Any, wanted: inspect.EnumType, path: str, findings: Findings) -> Any:
    return _choice(raw, [member.value for member in wanted.cls], path, findings)


def _literal(raw: Any, wanted: inspect.LiteralType, path: str, findings: Findings) -> Any:
    return _choice(raw, list(wanted.values), path, findings)


def _custom(raw: Any, wanted: inspect.CustomType, path: str, findings: Findings) -> Any:
    """Addresses, networks and quantities: what their parser refuses. A number is a quantity by its text, not its float."""
    text = raw
    if wanted.cls is Quantity and isinstance(plain(raw), int | float) and not isinstance(plain(raw), bool):
        text = describe(raw)
    if not isinstance(text, str):
        return _wrong(raw, "a quantity" if wanted.cls is Quantity else "an address, as a string", path, findings)
    try:
        decode_hook(wanted.cls, text)
    except ValueError as error:
        findings.problems.append(f"{path}: {error}")
    return text


def _wrong(raw: Any, expected: str, path: str, findings: Findings, cure: str = "") -> Any:
    value = plain(raw)
    got = _NOUNS.get(type(value), type(value).__name__)
    if isinstance(value, str):
        got = f"{got} {value!r}"
    elif isinstance(value, bool | int | float):
        got = f"{got} {describe(raw)}"
    findings.problems.append(f"{path or 'document'}: expected {expected}, got {got}{cure}")
    return value


_NOUNS: dict[type, str] = {
    bool: "the boolean",
    int: "the integer",
    float: "the number",
    str: "the string",
    type(None): "null",
    dict: "a mapping",
    list: "a list",
}

_CHECKERS: dict[type, Callable[[Any, Any, str, Findings], Any]] = {
    inspect.StructType: _struct,
    inspect.VarTupleType: _list,
    inspect.DictType: _dict,
    inspect.UnionType: _union,
    inspect.StrType: _text,
    inspect.IntType: _integer,
    inspect.FloatType: _number,
    inspect.BoolType: _boolean,
    inspect.EnumType: _enum,
    inspect.LiteralType: _literal,
    inspect.CustomType: _custom,
}
