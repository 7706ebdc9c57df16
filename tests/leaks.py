"""What the machine holds that a test may leave behind: namespaces, links, tables, mounts, loops, cgroups, processes, files.

    python -m tests.leaks snapshot FILE    write down what is there
    python -m tests.leaks compare FILE     name what has been added since, and fail if anything was

`scripts/test` compares the machine around the whole run; `tests/conftest.py` compares the throw-away node
around every module of kernel tests. Processes are recognised by PODWRIGHT_TEST_RUN in their environment,
so that other work on the machine does not matter. Standard library only.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

RUN_VARIABLE = "PODWRIGHT_TEST_RUN"
FILES = ("/run/podwright", "/var/lib/podwright", "/etc/podwright", "/var/log/podwright", "/opt/podwright", "/usr/local/bin/podwright")
FILE_PATTERNS = ("etc/cni/net.d/*podwright*", "opt/cni/bin/*podwright*", "dev/shm/podwright*")

Snapshot = dict[str, frozenset[str]]


def snapshot() -> Snapshot:
    return {
        "network namespace": frozenset(path.name for path in Path("/run/netns").glob("*")),
        "link": frozenset(name for _, name in socket.if_nameindex()),
        "nft table": frozenset(_nft_tables()),
        "mount": frozenset(_mounts()),
        "loop device": frozenset(_loops()),
        "cgroup": frozenset(_cgroups()),
        "process": frozenset(_processes()),
        "file": frozenset(_files()),
    }


def added(before: Snapshot, patience: float = 5.0) -> list[str]:
    """What is here now and was not before, one line each. Things that are just going get `patience` seconds to go."""
    deadline = time.monotonic() + patience
    while (left := _difference(before, snapshot())) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _difference(before: Snapshot, after: Snapshot) -> list[str]:
    return [f"{kind}: {item}" for kind, items in after.items() for item in sorted(items - before[kind])]


def _nft_tables() -> list[str]:
    if shutil.which("nft") is None or os.geteuid() != 0:
        return []
    return subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout.splitlines()


def _mounts() -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        yield f"{before.split()[4]} ({after.split()[0]})"


def _loops() -> Iterator[str]:
    """Loop devices belong to no namespace: those of a neighbour that runs tests beside us are the neighbour's to count."""
    own = f"/popen-{os.environ.get('PYTEST_XDIST_WORKER', '')}/"
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            image = path.read_text(encoding="utf-8").strip()
        except OSError:
            continue  # detached since the glob
        if own == "/popen-/" or "/popen-gw" not in image or own in image:
            yield f"/dev/{path.parts[3]} on {image}"


def _cgroups() -> Iterator[str]:
    for directory, children, _ in os.walk("/sys/fs/cgroup"):
        yield from (f"{directory}/{child}" for child in children if "podwright" in child)


def _processes() -> Iterator[str]:
    run = os.environ.get(RUN_VARIABLE)
    if not run:
        return
    mark, own = f"{RUN_VARIABLE}={run}".encode(), _ancestors()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if int(path.name) not in own and mark in (path / "environ").read_bytes().split(b"\0"):
                yield f"{path.name} {(path / 'cmdline').read_bytes().replace(bytes(1), b' ').decode(errors='replace').strip()}"
        except OSError:
            continue  # ended since the glob, or not ours to read


def _ancestors() -> set[int]:
    found, pid = set(), os.getpid()
    while pid > 0:
        found.add(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    return found


def _files() -> Iterator[str]:
    yield from (path for path in FILES if os.path.lexists(path))
    for pattern in FILE_PATTERNS:
        yield from map(str, Path("/").glob(pattern))


def main(arguments: list[str]) -> int:
    match arguments:
        case ["snapshot", file]:
            Path(file).write_text(json.dumps({kind: sorted(items) for kind, items in snapshot().items()}), encoding="utf-8")
            return 0
        case ["compare", file]:
            before = {kind: frozenset(items) for kind, items in json.loads(Path(file).read_text(encoding="utf-8")).items()}
            left = added(before)
            print("leak check: " + ("left behind on the machine:" if left else "the machine holds what it held before"))
            print("".join(f"  {line}\n" for line in left), end="")
            return 1 if left else 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
