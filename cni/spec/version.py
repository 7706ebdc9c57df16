"""Versions of the CNI specification: which we speak, which verb came with which, how they compare."""

from __future__ import annotations

from cni.spec.errors import IncompatibleVersion

SUPPORTED = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
OLDEST, NEWEST = SUPPORTED[0], SUPPORTED[-1]


def is_at_least(version: str, minimum: str) -> bool:
    """Both must be members of SUPPORTED, whose order is the order of versions."""
    return SUPPORTED.index(version) >= SUPPORTED.index(minimum)


def require_known(version: str, owner: str) -> str:
    """`owner` is what carries the version: "config" or "prevResult"."""
    if version not in SUPPORTED:
        raise IncompatibleVersion(
            f"incompatible CNI versions: {owner} is {version!r}",
            hint=f"{owner} is {version!r}, plugin supports [{' '.join(SUPPORTED)}]",
        )
    return version


def require_verb(command: str, minimum: str, version: str) -> None:
    if not is_at_least(version, minimum):
        raise IncompatibleVersion(
            f"config version {version!r} does not allow {command}",
            hint=f"{command} came with CNI {minimum}: set cniVersion to {minimum} or later",
        )


def version_object() -> dict[str, object]:
    return {"cniVersion": NEWEST, "supportedVersions": list(SUPPORTED)}
