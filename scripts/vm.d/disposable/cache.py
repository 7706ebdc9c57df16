"""Things that take long to make are made once, in a directory named after everything they were made from.

A build happens under a lock in `NAME.building`, which becomes `NAME` by one rename when it is complete: whoever is
killed leaves a directory that the next build removes, and two that want the same thing make it once. The cache is
the user's ($PODWRIGHT_VM_CACHE, or ~/.cache/podwright/vm) and may be deleted at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Unable(Exception):
    """What is missing on this machine, and the way out; printed as it is."""


def cache() -> Path:
    home = os.environ.get("PODWRIGHT_VM_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "podwright/vm")
    path = Path(home)
    path.mkdir(parents=True, exist_ok=True, mode=0o700)  # it holds the key to the guests
    return path


def key_of(*inputs: str) -> str:
    return hashlib.sha256("\0".join(inputs).encode()).hexdigest()[:16]


def made(name: str, build: Callable[[Path], None], *, needs_mb: int) -> Path:
    """The directory `name` of the cache, built by `build(directory)` unless it is there."""
    done = cache() / name
    if done.is_dir():
        return done
    with locked(name):
        if done.is_dir():
            return done
        require_space(cache(), needs_mb)
        building = cache() / f"{name}.building"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir()
        build(building)
        building.rename(done)
    return done


@contextmanager
def locked(name: str) -> Iterator[None]:
    with (cache() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def require_space(directory: Path, megabytes: int) -> None:
    free = shutil.disk_usage(directory).free >> 20
    if free < megabytes:
        raise Unable(f"{directory} has {free} MB free and {megabytes} are needed: make room, or name another place in PODWRIGHT_VM_CACHE")


@contextmanager
def step(what: str) -> Iterator[None]:
    """Says what is going on, and how long it took."""
    print(f"==> {what}", end="", file=sys.stderr, flush=True)
    started = time.monotonic()
    try:
        yield
    except BaseException:
        print(file=sys.stderr)
        raise
    print(f" ({time.monotonic() - started:.1f} s)", file=sys.stderr)
