"""The variables of a program in a pod: plain values, fields of the pod, ConfigMaps and Secrets. Pure.

Later ones win, and may refer to earlier ones as $(NAME). A value that must be there and is not is an error that names the
variable; one that may be missing (optional) is left out. Values never appear in messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from agent.errors import InvalidObject, NotFound
from agent.objects import downward
from agent.objects.config_data import ConfigMap, Secret
from agent.objects.container import Container, EnvFromSource, EnvVar, KeySelector
from agent.objects.downward import Room
from agent.objects.pod import Pod

Lookup = Callable[[str, str], ConfigMap | Secret | None]
"""The ConfigMap or Secret (by kind) of a name in the pod's namespace."""
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*", re.ASCII)


def nothing(kind: str, name: str) -> ConfigMap | Secret | None:
    """Where there are no objects."""
    return None


def environment(  # noqa: PLR0913 (where values come from)
    pod: Pod, container: Container, *, defaults: Mapping[str, str], wanted: Mapping[str, str], room: Room, lookup: Lookup = nothing
) -> tuple[dict[str, str], tuple[str, ...]]:
    """With warnings. `wanted` wins over all; `room` is what the node has for pods. Raises NotFound, InvalidObject."""
    known = {"PATH": _DEFAULT_PATH, "HOSTNAME": pod.spec.hostname or pod.metadata.name, **defaults}
    warnings: list[str] = []
    path = f"spec.containers[{container.name}]"
    for source in container.env_from:
        for name, value in _from(source, lookup, f"{path}.envFrom"):
            if _NAME.fullmatch(name):
                known[name] = value
            else:
                warnings.append(f"{path}.envFrom: key {name} is no name for a variable: left out")
    for variable in container.env:
        value_ = _value(pod, container, variable, known, lookup, room)
        if value_ is not None:
            known[variable.name] = value_
    return {**known, **wanted}, tuple(warnings)


def expand(text: str, known: Mapping[str, str]) -> str:
    """$(NAME) is replaced if the name is known; $$ is one dollar."""

    def replace(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else known.get(match[1], match[0])

    return _REFERENCE.sub(replace, text)


def unknown_references(text: str, known: Mapping[str, str]) -> list[str]:
    return [match[1] for match in _REFERENCE.finditer(text) if match[1] and match[1] not in known]


def _from(source: EnvFromSource, lookup: Lookup, path: str) -> Iterator[tuple[str, str]]:
    for kind, reference in (("ConfigMap", source.config_map_ref), ("Secret", source.secret_ref)):
        if reference is None:
            continue
        found = lookup(kind, reference.name)
        if found is None and not reference.optional:
            raise NotFound(f"{path}: {kind.lower()} {reference.name} does not exist")
        for key, value in sorted(found.values.items()) if found is not None else ():
            yield source.prefix + key, _text(value)


def _value(  # noqa: PLR0913, PLR0917 (where values come from)
    pod: Pod, container: Container, variable: EnvVar, known: Mapping[str, str], lookup: Lookup, room: Room
) -> str | None:
    source, path = variable.value_from, f"spec.containers[{container.name}].env[{variable.name}]"
    if source is None:
        return expand(variable.value, known)
    if source.config_map_key_ref is not None:
        return _key("ConfigMap", source.config_map_key_ref, lookup, path)
    if source.secret_key_ref is not None:
        return _key("Secret", source.secret_key_ref, lookup, path)
    if source.resource_field_ref is not None:
        return downward.resource(pod, source.resource_field_ref, container.name, room)
    if source.field_ref is not None:
        value = downward.field(pod, source.field_ref.field_path)
        if value is None:
            raise InvalidObject(f"{path}: there is no field {source.field_ref.field_path}")
        return value
    raise InvalidObject(f"{path}.valueFrom: names no source that is known here")


def _key(kind: str, reference: KeySelector, lookup: Lookup, path: str) -> str | None:
    found = lookup(kind, reference.name)
    if found is not None and reference.key in found.values:
        return _text(found.values[reference.key])
    if reference.optional:
        return None
    what = f"{kind.lower()} {reference.name}"
    raise NotFound(f"{path}: {what} does not exist" if found is None else f"{path}: {what} has no key {reference.key}")


def _text(value: bytes) -> str:
    """A variable cannot hold zero bytes; the rest passes as it is."""
    return value.decode(errors="surrogateescape").partition("\0")[0]
