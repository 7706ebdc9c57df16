"""Where a pod's volumes are on the node: kubelet's layout, which tools and people know.

    PODS/UID/volumes/kubernetes.io~empty-dir/NAME     what the pod sees: a directory or a mount
    PODS/UID/plugins/kubernetes.io~empty-dir/NAME     what it is made of (an image), never shown to the pod

The name of the plugin in the path tells a fresh process, that knows nothing of the pod any more, whose data it is: what
is the pod's own is deleted with it, of everything else only the empty mount point is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Plugin(StrEnum):
    EMPTY_DIR = "kubernetes.io/empty-dir"
    CONFIG_MAP = "kubernetes.io/configmap"
    SECRET = "kubernetes.io/secret"  # noqa: S105 - a name
    DOWNWARD_API = "kubernetes.io/downward-api"
    PROJECTED = "kubernetes.io/projected"
    LOCAL = "kubernetes.io/local-volume"
    CSI = "kubernetes.io/csi"

    @property
    def directory(self) -> str:
        return self.value.replace("/", "~")


THE_PODS_OWN = frozenset({Plugin.EMPTY_DIR, Plugin.CONFIG_MAP, Plugin.SECRET, Plugin.DOWNWARD_API, Plugin.PROJECTED})
"""Whose contents are deleted with the pod."""
WRITTEN_BY_US = frozenset({Plugin.CONFIG_MAP, Plugin.SECRET, Plugin.DOWNWARD_API, Plugin.PROJECTED})
"""Read-only in a pod, whatever it says: it must not make us delete files through links of its own."""


@dataclass(frozen=True, slots=True)
class PodPlace:
    """The directories of one pod; `directory` is PODS/UID."""

    directory: Path

    @property
    def volumes(self) -> Path:
        return self.directory / "volumes"

    @property
    def plugins(self) -> Path:
        return self.directory / "plugins"

    def volume(self, plugin: Plugin, name: str) -> Path:
        return self.volumes / plugin.directory / name

    def private(self, plugin: Plugin, name: str) -> Path:
        return self.plugins / plugin.directory / name


def is_the_pods_own(directory_name: str) -> bool:
    return any(plugin.directory == directory_name for plugin in THE_PODS_OWN)
