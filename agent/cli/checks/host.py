"""Clock and disk: a wrong clock breaks certificates and the order of events, a full disk stops every change."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import agent
from agent.cli.checks.machine import Machine
from agent.cli.checks.registry import Finding, check, fail, ok, warn
from agent.kernel import libc
from agent.kernel import mount as mounts

_GROUP = "machine"
_LITTLE_BYTES, _TOO_LITTLE_BYTES = 1 << 30, 64 << 20
_FULL_BYTES = 1 << 20
_FEW_FILES = 1000


@check(_GROUP, "clock")
def clock(_: Machine) -> Iterator[Finding]:
    yield judge_clock(time.time(), _built(), is_synchronised=libc.clock_is_synchronised())


def _built() -> float:
    """When this program was written to the disk: now cannot be before that."""
    return Path(agent.__file__).stat().st_mtime


def judge_clock(now: float, built: float, *, is_synchronised: bool) -> Finding:
    cure = "apt-get install systemd-timesyncd && timedatectl set-ntp true"
    if now < built:
        return fail(f"it is {_date(now)} by the clock, but this program is from {_date(built)}", cure)
    if not is_synchronised:
        return warn(f"not synchronised (it is {_date(now)} by the clock)", cure)
    return ok(f"synchronised: {_date(now)}")


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


@check(_GROUP, "disk")
def disk(machine: Machine) -> Iterator[Finding]:
    state = machine.config.state_dir
    place = next(path for path in (Path(state), *Path(state).parents) if path.exists())
    room = os.statvfs(place)
    yield from judge_disk(state, room.f_bavail * room.f_frsize, room.f_favail if room.f_files else None)
    if _filesystem(place) in ("tmpfs", "ramfs"):
        yield warn(f"{state} is in memory: pods and volumes are forgotten at the next boot", "set stateDir to a directory on a disk")


def judge_disk(state: str, free_bytes: int, free_files: int | None) -> Iterator[Finding]:
    cure = (
        f"make room below {state}: delete files, or objects (podwright delete works on a full disk too); or set stateDir to a larger disk"
    )
    amount = f"{free_bytes / (1 << 30):.1f} GiB free for {state}"
    if free_bytes < _FULL_BYTES:
        yield fail(f"{state} is on a full disk: the agent serves what it has and deletes, but stores nothing new", cure)
    elif free_bytes < _TOO_LITTLE_BYTES:
        yield fail(f"{amount}: soon the agent can store nothing new", cure)
    elif free_bytes < _LITTLE_BYTES:
        yield warn(amount, cure)
    else:
        yield ok(amount)
    if free_files is not None and free_files < _FEW_FILES:
        yield fail(f"only {free_files} files may still be made for {state}", cure)


def _filesystem(place: Path) -> str:
    real = place.resolve()
    holding = [found for found in mounts.list_() if real.is_relative_to(found.target)]
    return max(holding, key=lambda found: len(str(found.target))).fstype if holding else ""
