"""What the files of configMap, secret, downwardAPI and projected volumes hold: pure, from objects to bytes.

A payload is a mapping of relative paths to contents. Problems name the field and what is missing, never a value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.errors import InvalidObject, NotFound, Unsupported
from agent.objects import downward
from agent.objects.config_data import ConfigMap, Secret
from agent.objects.downward import Room
from agent.objects.pod import Pod
from agent.objects.volumes import DownwardAPIFile, KeyToPath, ProjectedVolume, Volume, VolumeProjection

DEFAULT_MODE = 0o644
_LONGEST_NAME, _LONGEST_PATH = 255, 4096
Lookup = Callable[[str, str], ConfigMap | Secret | None]
"""The ConfigMap or Secret (by kind) of a name in the pod's namespace."""


@dataclass(frozen=True, slots=True)
class Content:
    """`data` may be secret: it is not shown."""

    data: bytes = field(repr=False)
    mode: int = DEFAULT_MODE


Payload = Mapping[str, Content]


def payload_of(volume: Volume, pod: Pod, lookup: Lookup, room: Room) -> Payload:
    """Raises NotFound for an object or key that is not there and not optional."""
    if (map_ := volume.config_map) is not None:
        return _of_object("ConfigMap", map_.name, map_.items, map_.default_mode, map_.optional, lookup)
    if (secret := volume.secret) is not None:
        return _of_object("Secret", secret.secret_name, secret.items, secret.default_mode, secret.optional, lookup)
    if (down := volume.downward_api) is not None:
        return _of_pod(down.items, down.default_mode, pod, room)
    assert volume.projected is not None
    return _of_projection(volume.projected, pod, lookup, room)


def references(volume: Volume) -> frozenset[tuple[str, str]]:
    """Kind and name of every object that the volume's files come from."""
    found = set()
    if volume.config_map is not None:
        found.add(("ConfigMap", volume.config_map.name))
    if volume.secret is not None:
        found.add(("Secret", volume.secret.secret_name))
    for source in volume.projected.sources if volume.projected is not None else ():
        if source.config_map is not None:
            found.add(("ConfigMap", source.config_map.name))
        if source.secret is not None:
            found.add(("Secret", source.secret.name))
    return frozenset(found)


def _of_object(  # noqa: PLR0913, PLR0917 (the fields of one source)
    kind: str, name: str, items: Sequence[KeyToPath], default_mode: int | None, optional: bool | None, lookup: Lookup
) -> Payload:
    thing = lookup(kind, name)
    if thing is None:
        if optional:
            return {}
        raise NotFound(f"{kind.lower()} {name} does not exist", hint=f"apply it, or set optional: true in the volume's {kind} source")
    mode = DEFAULT_MODE if default_mode is None else default_mode
    if not items:
        return {key: Content(data, mode) for key, data in thing.values.items()}
    found: dict[str, Content] = {}
    for item in items:
        if item.key in thing.values:
            found[_checked(item.path)] = Content(thing.values[item.key], mode if item.mode is None else item.mode)
        elif not optional:
            raise NotFound(f"{kind.lower()} {name} has no key {item.key}", hint=f"it has: {', '.join(sorted(thing.values)) or 'none'}")
    return found


def _of_pod(items: Sequence[DownwardAPIFile], default_mode: int | None, pod: Pod, room: Room) -> Payload:
    mode = DEFAULT_MODE if default_mode is None else default_mode
    return {_checked(item.path): Content(_value(item, pod, room).encode(), mode if item.mode is None else item.mode) for item in items}


def _value(item: DownwardAPIFile, pod: Pod, room: Room) -> str:
    if item.field_ref is not None:
        return downward.file_field(pod, item.field_ref.field_path)
    if item.resource_field_ref is not None:
        return downward.resource(pod, item.resource_field_ref, item.resource_field_ref.container_name, room)
    raise InvalidObject(f"downwardAPI item {item.path} has neither fieldRef nor resourceFieldRef")


def _of_projection(volume: ProjectedVolume, pod: Pod, lookup: Lookup, room: Room) -> Payload:
    """Sources in order; the last one that has a path wins, as in Kubernetes."""
    found: dict[str, Content] = {}
    for source in volume.sources:
        found.update(_of_source(source, volume.default_mode, pod, lookup, room))
    return found


def _of_source(source: VolumeProjection, mode: int | None, pod: Pod, lookup: Lookup, room: Room) -> Payload:
    if source.config_map is not None:
        return _of_object("ConfigMap", source.config_map.name, source.config_map.items, mode, source.config_map.optional, lookup)
    if source.secret is not None:
        return _of_object("Secret", source.secret.name, source.secret.items, mode, source.secret.optional, lookup)
    if source.downward_api is not None:
        return _of_pod(source.downward_api.items, mode, pod, room)
    raise Unsupported("projected sources serviceAccountToken, clusterTrustBundle and podCertificate need a cluster, which is not here")


def _checked(path: str) -> str:
    parts = path.split("/")
    wrong = not path or path.startswith("/") or ".." in parts or "" in parts or "." in parts or parts[0].startswith("..")
    if wrong or len(path) > _LONGEST_PATH or any(len(part.encode()) > _LONGEST_NAME for part in parts):
        raise InvalidObject(f'"{path[:80]}" cannot be a file of a volume: write a short relative path without ".."')
    return path
