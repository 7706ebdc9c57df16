"""What pod volumes need of persistent volumes: a claim of a pod becomes a directory (or a device) it can be shown.

Only the contract; claims, classes and drivers are behind it. A pod whose claim is not ready waits with the reason raised.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.kernel.io_limits import Limit
from agent.objects.pod import Pod
from agent.objects.volumes import Volume
from agent.volume.layout import PodPlace


@dataclass(frozen=True, slots=True)
class Mounted:
    """`owns_group`: fsGroup is for us to set on `path`; a block volume has a device instead of a directory."""

    path: Path
    read_only: bool = False
    owns_group: bool = True
    is_block: bool = False
    limits: tuple[Limit, ...] = ()


class PersistentVolumes(Protocol):
    def ensure_(self, pod: Pod, volume: Volume, place: PodPlace) -> Mounted:
        """The volume (persistentVolumeClaim, ephemeral or csi) mounted in the pod's place. Raises what the pod waits for."""

    def remove_(self, uid: str, place: PodPlace) -> None:
        """After the mounts in the pod's place are gone: give back what the pod had. Absent is fine."""
