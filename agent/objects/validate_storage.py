"""What is wrong with claims, volumes and classes of storage: one line each, beginning with the field's path."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

from agent.objects.claim import AccessMode, PersistentVolumeClaimSpec, VolumeMode
from agent.objects.meta import Object
from agent.objects.names import dns_subdomain_problem
from agent.objects.persistent_volume import STORAGE, PersistentVolume, PersistentVolumeSpec, ReclaimPolicy
from agent.objects.persistent_volume_claim import PersistentVolumeClaim
from agent.objects.quantity import Quantity
from agent.objects.selector import selector_problems
from agent.objects.storage_class import DEFAULT_CLASS_ANNOTATION, StorageClass, VolumeAttributesClass

_DRIVER = re.compile(r"[a-z0-9A-Z]([-a-z0-9A-Z.]{0,61}[a-z0-9A-Z])?")
_MOST_PARAMETERS = 512
_LONGEST_PARAMETERS = 256 << 10


def storage_problems(thing: Object) -> Iterable[str]:
    match thing:
        case PersistentVolumeClaim():
            return claim_problems(thing.spec, "spec")
        case PersistentVolume():
            return _volume_problems(thing.spec)
        case StorageClass():
            return (*_driver_problems(thing.provisioner, "provisioner"), *_class_problems(thing))
        case VolumeAttributesClass():
            return (*_driver_problems(thing.driver_name, "driverName"), *_parameter_problems(thing.parameters))
    return ()


def claim_problems(spec: PersistentVolumeClaimSpec, path: str) -> Iterator[str]:
    """Of a claim, and of the template in a pod's ephemeral volume."""
    yield from _access_mode_problems(spec.access_modes, f"{path}.accessModes")
    request = spec.resources.requests.get(STORAGE)
    if request is None:
        yield f"{path}.resources.requests.{STORAGE}: is required and missing"
    else:
        yield from _size_problems(request, f"{path}.resources.requests.{STORAGE}")
    limit = spec.resources.limits.get(STORAGE)
    if request is not None and limit is not None and limit < request:
        yield f"{path}.resources.limits.{STORAGE}: {limit} is less than the request of {request}"
    if spec.selector is not None:
        yield from selector_problems(spec.selector, f"{path}.selector")
    yield from _name_problems(spec.storage_class_name, f"{path}.storageClassName")
    yield from _name_problems(spec.volume_attributes_class_name, f"{path}.volumeAttributesClassName")
    yield from _name_problems(spec.volume_name, f"{path}.volumeName")


def _volume_problems(spec: PersistentVolumeSpec) -> Iterator[str]:
    yield from _access_mode_problems(spec.access_modes, "spec.accessModes")
    if STORAGE not in spec.capacity:
        yield f"spec.capacity.{STORAGE}: is required and missing"
    else:
        yield from _size_problems(spec.capacity[STORAGE], f"spec.capacity.{STORAGE}")
    if len(spec.sources) != 1:
        named = ", ".join(spec.sources) or "none"
        yield f"spec: a volume has exactly one source, here are {named}: keep one, such as hostPath, local or csi"
    if spec.persistent_volume_reclaim_policy is ReclaimPolicy.RECYCLE:
        yield "spec.persistentVolumeReclaimPolicy: Recycle is not offered (deprecated in Kubernetes), write Retain or Delete"
    yield from _name_problems(spec.storage_class_name, "spec.storageClassName")
    yield from _source_problems(spec)


def _source_problems(spec: PersistentVolumeSpec) -> Iterator[str]:
    if spec.host_path is not None:
        yield from _path_problems(spec.host_path.path, "spec.hostPath.path")
        if spec.host_path.path == "/" and spec.persistent_volume_reclaim_policy is not ReclaimPolicy.RETAIN:
            yield "spec.hostPath.path: / with a reclaim policy other than Retain would empty the machine"
        if spec.volume_mode is VolumeMode.BLOCK:
            yield "spec.volumeMode: a hostPath volume cannot be Block, use local"
    if spec.local is not None:
        yield from _path_problems(spec.local.path, "spec.local.path")
        if spec.node_affinity is None or spec.node_affinity.required is None:
            yield "spec.nodeAffinity.required: a local volume has to say on which node it is"
        if spec.local.fs_type and spec.volume_mode is VolumeMode.BLOCK:
            yield "spec.local.fsType: has no meaning for a Block volume, leave it out"
    if spec.csi is not None:
        yield from _driver_problems(spec.csi.driver, "spec.csi.driver")
        if not spec.csi.volume_handle:
            yield "spec.csi.volumeHandle: is empty"


def _class_problems(thing: StorageClass) -> Iterator[str]:
    yield from _parameter_problems(thing.parameters)
    if thing.reclaim_policy is ReclaimPolicy.RECYCLE:
        yield "reclaimPolicy: Recycle is not offered (deprecated in Kubernetes), write Retain or Delete"
    value = thing.metadata.annotations.get(DEFAULT_CLASS_ANNOTATION)
    if value not in (None, "true", "false"):
        yield f'metadata.annotations[{DEFAULT_CLASS_ANNOTATION}]: "{value}" is neither true nor false'
    for index, term in enumerate(thing.allowed_topologies):
        for place, label in enumerate(term.match_label_expressions):
            if not label.values:
                yield f"allowedTopologies[{index}].matchLabelExpressions[{place}].values: is empty and would match no node"


def _access_mode_problems(modes: tuple[AccessMode, ...], path: str) -> Iterator[str]:
    if not modes:
        yield f"{path}: is required and missing, write one of {', '.join(AccessMode)}"
    if AccessMode.READ_WRITE_ONCE_POD in modes and len(set(modes)) > 1:
        yield f"{path}: ReadWriteOncePod excludes the other modes, keep one"


def _size_problems(size: Quantity, path: str) -> Iterator[str]:
    if size.nano <= 0:
        yield f"{path}: {size} is not a size, it must be more than 0"


def _name_problems(name: str | None, path: str) -> Iterator[str]:
    if name and (problem := dns_subdomain_problem(name)):
        yield f"{path}: {problem}"


def _driver_problems(name: str, path: str) -> Iterator[str]:
    parts = name.split("/")
    if len(parts) > 2 or not all(_DRIVER.fullmatch(part) for part in parts):
        yield f'{path}: "{name}" is not the name of a driver, such as csi.podwright.io'


def _parameter_problems(parameters: dict[str, str]) -> Iterator[str]:
    if len(parameters) > _MOST_PARAMETERS:
        yield f"parameters: {len(parameters)} are given, at most {_MOST_PARAMETERS} are kept"
    if "" in parameters:
        yield "parameters: a name is empty"
    if sum(len(name) + len(value) for name, value in parameters.items()) > _LONGEST_PARAMETERS:
        yield f"parameters: together longer than {_LONGEST_PARAMETERS} bytes"


def _path_problems(path: str, where: str) -> Iterator[str]:
    if not path.startswith("/"):
        yield f'{where}: "{path}" is not absolute'
    elif ".." in path.split("/"):
        yield f'{where}: "{path}" must not contain ".."; write {posixpath.normpath(path)}'
