"""The volumes of this node's pods: made before the pod, shown to its programs, gone with it.

`ensure_` brings one pod's volumes to where they should be, whatever it finds; it is repeated when an object that files
come from has changed. `remove_` knows no pod any more, only its directory: it goes by the names there (layout.py), takes
the mounts away first, and deletes only what was the pod's own.
The caller never runs two of them for one pod at once.
"""

from __future__ import annotations

import errno
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent import teardown
from agent.errors import InUse, NotFound, PodwrightError, Unsupported
from agent.kernel import mount
from agent.kernel.io_limits import IoLimits, Limit
from agent.objects.config_data import ConfigMap, Secret
from agent.objects.downward import Room
from agent.objects.meta import Key
from agent.objects.pod import Pod
from agent.objects.volumes import Volume, ephemeral_claim_name
from agent.store.base import Store
from agent.volume import atomic_files, emptydir, hostpath, payload, tree
from agent.volume.layout import WRITTEN_BY_US, Plugin, PodPlace, is_the_pods_own
from agent.volume.persistent import PersistentVolumes

_FILES_ON_TMPFS = frozenset({Plugin.SECRET, Plugin.DOWNWARD_API, Plugin.PROJECTED})
_FILES_BYTES = 64 << 20
"""A bound for a tmpfs, not a reservation: two versions of several objects of 1 MiB."""
_PERSISTENT = frozenset({"persistentVolumeClaim", "ephemeral", "csi"})


@dataclass(frozen=True, slots=True)
class Shown:
    """Where a volume is on the node, and whether the pod may only read it."""

    path: Path
    read_only: bool = False
    is_block: bool = False
    limits: tuple[Limit, ...] = ()


class PodVolumes:
    """`pods_dir` has a directory per pod; `room` is what stands in for limits that a container does not have."""

    def __init__(self, pods_dir: Path, *, store: Store, persistent: PersistentVolumes, room: Room) -> None:
        self._pods_dir, self._store, self._persistent, self._room = pods_dir, store, persistent, room
        self._io = IoLimits()
        self._lock = threading.Lock()
        self._readers: defaultdict[Key, set[Key]] = defaultdict(set)
        self._read_by: dict[Key, frozenset[Key]] = {}

    def ensure_(self, pod: Pod) -> Mapping[str, Shown]:
        """Every volume of the pod, by name. Raises the first reason for which one cannot be had, naming the volume."""
        self._remember(pod)
        place = PodPlace(self._pods_dir / pod.metadata.uid)
        shown = {}
        for volume in pod.spec.volumes:
            try:
                shown[volume.name] = self._ensure(pod, volume, place)
            except PodwrightError as error:
                error.message = f"volume {volume.name}: {error.message}"
                error.args = (error.message,)
                raise
        self._io.ensure_(_group(pod.metadata.uid), [limit for each in shown.values() for limit in each.limits])
        return shown

    def join_files(self, uid: str) -> tuple[Path, ...]:
        """What a process of the pod writes 0 into, for limits on its volumes."""
        return self._io.join_files(_group(uid))

    def clear(self) -> None:
        """For tear-down, when no pod is left."""
        self._io.remove_parent()

    def remove_(self, uid: str) -> None:
        """Of a pod that is gone, processes and all. An error does not stop the rest; what is mounted elsewhere is not looked behind."""
        place = PodPlace(self._pods_dir / uid)
        self._io.remove_(_group(uid))
        if place.volumes.is_dir() or place.plugins.is_dir():
            for target in mount.below(place.directory):
                if target.is_relative_to(place.volumes.resolve()) or target.is_relative_to(place.plugins.resolve()):
                    mount.remove_(target)
        steps = [lambda path=path: _remove_volume(path) for path in _entries(place.volumes)]
        teardown.run_all([lambda: self._persistent.remove_(uid, place), *steps, lambda: tree.remove(place.plugins)])
        for directory in (*_children(place.volumes), place.volumes):
            with suppress(FileNotFoundError):
                directory.rmdir()

    def readers(self, changed: Key) -> frozenset[Key]:
        """The pods that have files made of this ConfigMap or Secret, or a volume by this claim."""
        with self._lock:
            return frozenset(self._readers.get(changed, ()))

    def forget(self, pod: Key) -> None:
        with self._lock:
            for key in self._read_by.pop(pod, ()):
                self._readers[key].discard(pod)
                if not self._readers[key]:
                    del self._readers[key]

    def lookup(self, pod: Pod) -> payload.Lookup:
        """The ConfigMaps and Secrets of the pod's namespace."""

        def find(kind: str, name: str) -> ConfigMap | Secret | None:
            found = self._store.find(Key(kind, pod.metadata.namespace, name))
            return found if isinstance(found, ConfigMap | Secret) else None

        return find

    def _remember(self, pod: Pod) -> None:
        namespace = pod.metadata.namespace
        keys = frozenset(Key(kind, namespace, name) for volume in pod.spec.volumes for kind, name in _references(pod, volume))
        with self._lock:
            known = self._read_by.get(pod.key)
        if known == keys or (known is None and not keys):
            return
        self.forget(pod.key)
        with self._lock:
            self._read_by[pod.key] = keys
            for key in keys:
                self._readers[key].add(pod.key)

    def _ensure(self, pod: Pod, volume: Volume, place: PodPlace) -> Shown:
        group = pod.spec.security_context.fs_group
        if volume.empty_dir is not None:
            shape = emptydir.shape_of(
                volume.empty_dir,
                memory_limit=_memory_limit(pod),
                allocatable_memory=self._room["memory"].whole,
                huge_pages=_huge_pages(pod, volume.empty_dir.medium),
            )
            return Shown(emptydir.ensure_(place, volume.name, shape, gid=group))
        if volume.host_path is not None:
            return Shown(hostpath.ensure_(volume.host_path))
        if (plugin := _plugin_of_files(volume)) is not None:
            return Shown(self._ensure_files(pod, volume, plugin, place), read_only=plugin in WRITTEN_BY_US)
        if _PERSISTENT.intersection(volume.sources):
            return self._ensure_persistent(pod, volume, place)
        raise Unsupported(f"{', '.join(volume.sources)} is not supported")

    def _ensure_files(self, pod: Pod, volume: Volume, plugin: Plugin, place: PodPlace) -> Path:
        target = place.volume(plugin, volume.name)
        try:
            wanted = payload.payload_of(volume, pod, self.lookup(pod), self._room)
        except NotFound:
            if atomic_files.is_written(target):  # the pod keeps what it was given
                return target
            raise
        target.mkdir(parents=True, exist_ok=True)
        if plugin in _FILES_ON_TMPFS and not mount.is_mount_point(target):
            emptydir.mount_tmpfs(target, [f"size={_FILES_BYTES}", "mode=0755"])
        atomic_files.write(target, wanted, gid=pod.spec.security_context.fs_group)
        return target

    def _ensure_persistent(self, pod: Pod, volume: Volume, place: PodPlace) -> Shown:
        mounted = self._persistent.ensure_(pod, volume, place)
        context = pod.spec.security_context
        if context.fs_group is not None and mounted.owns_group and not mounted.is_block and not mounted.read_only:
            once = context.fs_group_change_policy == "OnRootMismatch"
            tree.set_group(mounted.path, context.fs_group, only_if_root_differs=once)
        return Shown(mounted.path, mounted.read_only, mounted.is_block, mounted.limits)


def _references(pod: Pod, volume: Volume) -> Iterable[tuple[str, str]]:
    """Objects whose change may be news for the volume, by kind and name."""
    yield from payload.references(volume)
    if volume.persistent_volume_claim is not None:
        yield "PersistentVolumeClaim", volume.persistent_volume_claim.claim_name
    if volume.ephemeral is not None:
        yield "PersistentVolumeClaim", ephemeral_claim_name(pod.metadata.name, volume.name)


def _plugin_of_files(volume: Volume) -> Plugin | None:
    choices = (
        (volume.config_map, Plugin.CONFIG_MAP),
        (volume.secret, Plugin.SECRET),
        (volume.downward_api, Plugin.DOWNWARD_API),
        (volume.projected, Plugin.PROJECTED),
    )
    return next((plugin for source, plugin in choices if source is not None), None)


def _group(uid: str) -> str:
    """The name of the pod's cgroup."""
    return f"pod{uid}"


def _memory_limit(pod: Pod) -> int | None:
    """None when a container has none."""
    limits = [container.resources.limits.get("memory") for container in pod.spec.containers]
    given = [limit.whole for limit in limits if limit is not None]
    return sum(given) if len(given) == len(limits) else None


def _huge_pages(pod: Pod, medium: str) -> int:
    name = "hugepages-" + (medium.partition("-")[2] or "2Mi")
    amounts = [c.resources.limits.get(name) or c.resources.requests.get(name) for c in pod.spec.containers]
    return sum(amount.whole for amount in amounts if amount is not None)


def _entries(volumes: Path) -> list[Path]:
    return [entry for plugin in _children(volumes) for entry in _children(plugin)]


def _children(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except FileNotFoundError:
        return []


def _remove_volume(path: Path) -> None:
    """The pod's own goes with all it holds; of anything else only the mount points, which are empty."""
    if is_the_pods_own(path.parent.name):
        tree.remove(path)
        return
    for empty in (path / "mount", path):
        try:
            empty.rmdir()
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            raise InUse(f"{empty} holds files that are not the pod's own: they are left", hint="look at them, then remove them") from None
