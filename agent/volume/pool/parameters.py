"""What a StorageClass and a VolumeAttributesClass may say about a volume of ours. Pure; a wrong word is refused by its name.

pool         the pool it is made in (default: the pool "default")
fsType       ext4 or xfs (default ext4); csi.storage.k8s.io/fstype means the same
allocation   thick (default: all blocks are there) or thin (they come as they are written)
mkfsOptions  from a list of harmless ones, separated by spaces
iops, bandwidth   limits, and what may change later: operations a second, bytes a second ("10Mi")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.errors import InvalidObject, OutOfRange
from agent.kernel.filesystem import Kind
from agent.objects.quantity import Quantity

MI = 1 << 20
SECTOR = 4096
DEFAULT_BYTES = 1 << 30
_SMALLEST = {"": MI, Kind.EXT4: 4 * MI, Kind.XFS: 300 * MI}
"""mkfs.xfs refuses less than 300 MiB."""
_LARGEST = 1 << 43
"""8 TiB: what an ext4 of 4 KiB blocks and our records are tried with."""
_FIXED = frozenset({"pool", "fsType", "allocation", "mkfsOptions", "iops", "bandwidth"})
_MUTABLE = frozenset({"iops", "bandwidth"})
_MKFS = {
    Kind.EXT4: frozenset({"-O", "-i", "-I", "-N", "-m", "-J", "-T"}),
    Kind.XFS: frozenset({"-i", "-d", "-l", "-n"}),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """0: none."""

    iops: int = 0
    bytes_per_s: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """`kind` None: a block volume."""

    pool: str
    kind: Kind | None
    is_thin: bool
    mkfs_options: tuple[str, ...] = ()


def read(parameters: Mapping[str, str], fs_type: str, is_block: bool) -> Wanted:
    """`fs_type`: what the capability names; it and the class must not contradict each other."""
    _refuse_unknown(parameters, _FIXED, "parameters")
    limits(parameters)
    kind = None if is_block else _kind(fs_type, parameters.get("fsType", ""))
    allocation = parameters.get("allocation", "thick")
    if allocation not in ("thick", "thin"):
        raise InvalidObject(f'parameters.allocation: "{allocation}" is neither thick nor thin')
    options = tuple(parameters.get("mkfsOptions", "").split())
    if options and kind is None:
        raise InvalidObject("parameters.mkfsOptions: a block volume has no filesystem, leave it out")
    if kind is not None:
        _refuse_options(options, kind)
    return Wanted(parameters.get("pool", "default"), kind, allocation == "thin", options)


def mutable(parameters: Mapping[str, str]) -> Limits:
    _refuse_unknown(parameters, _MUTABLE, "mutable_parameters")
    return limits(parameters)


def limits(parameters: Mapping[str, str]) -> Limits:
    return Limits(_count(parameters, "iops"), _count(parameters, "bandwidth"))


def size_bytes(required: int, limit: int, kind: Kind | None) -> int:
    """Within what was asked and whole sectors. Raises OutOfRange."""
    smallest = _SMALLEST[kind or ""]
    wanted = max(required or min(DEFAULT_BYTES, limit or DEFAULT_BYTES), 1)
    if not required:
        wanted = max(wanted, smallest)
    rounded = -(-wanted // SECTOR) * SECTOR
    if limit and rounded > limit:
        raise OutOfRange(f"no size of whole {SECTOR}-byte sectors lies between {required} and {limit} bytes and is at least {smallest}")
    if not smallest <= rounded <= _LARGEST:
        what = kind or "block"
        raise OutOfRange(f"a volume of {rounded} bytes cannot be made: {what} volumes have {smallest} to {_LARGEST} bytes")
    return rounded


def smallest_bytes(kind: Kind | None) -> int:
    return _SMALLEST[kind or ""]


def _kind(asked: str, of_class: str) -> Kind:
    if asked and of_class and asked != of_class:
        raise InvalidObject(f'parameters.fsType: the class says "{of_class}", the request "{asked}"')
    name = asked or of_class or Kind.EXT4
    try:
        return Kind(name)
    except ValueError:
        raise InvalidObject(f'parameters.fsType: "{name}" is not made here, write ext4 or xfs') from None


def _refuse_options(options: tuple[str, ...], kind: Kind) -> None:
    """Options come from people who may not be root; those of the list change the filesystem and nothing else."""
    allowed = _MKFS[kind]
    for option in options:
        if option.startswith("-") and option not in allowed:
            raise InvalidObject(f'parameters.mkfsOptions: "{option}" is not allowed, of mkfs.{kind} only {" ".join(sorted(allowed))} are')
        if not option.startswith("-") and "/" in option:
            raise InvalidObject(f'parameters.mkfsOptions: "{option}" contains a path')


def _refuse_unknown(parameters: Mapping[str, str], known: frozenset[str], field: str) -> None:
    for name in parameters:
        if name not in known:
            raise InvalidObject(f"{field}.{name}: is not a parameter of this driver, it knows {', '.join(sorted(known))}")


def _count(parameters: Mapping[str, str], name: str) -> int:
    text = parameters.get(name, "0")
    try:
        count = Quantity.parse(text).nano // 10**9
    except ValueError as error:
        raise InvalidObject(f"{name}: {error}") from None
    if count < 0:
        raise InvalidObject(f"{name}: {text} is negative")
    return count
