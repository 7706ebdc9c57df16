"""What a test asks of a container runtime, whichever it is: pods with one container that answers HTTP with the pod's name."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.kernel import mount

PORT = 80
NETWORK, IFNAME = "podwright", "eth0"
SERVE = ("/bin/busybox", "httpd", "-f", "-p", str(PORT), "-h", "/etc")
"""/etc/hostname holds the pod's name."""
ASK = "printf 'GET /hostname HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 3 {address} {port}"
"""For a shell anywhere. busybox's wget, linked statically, crashes in a root file system without name service."""


@dataclass(frozen=True)
class RunPod:
    """`id`: the CNI container id, of the sandbox. `container`: what commands run in."""

    name: str
    id: str
    container: str
    addresses: tuple[str, ...]


class Engine(Protocol):
    """`bin_dir`, `conf_dir`: where it looks for plugins and networks."""

    def run(self, name: str, *, namespace: str = "", labels: Mapping[str, str] = {}, host_port: int = 0) -> RunPod: ...
    def execute(self, pod: RunPod, *command: str) -> str: ...
    def remove(self, pod: RunPod) -> None:
        """Stop it, remove it."""


class CommandFailed(AssertionError):
    pass


def command(words: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> str:
    """What it prints."""
    done = subprocess.run(
        words, env={**os.environ, **(environment or {})}, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise CommandFailed(f"{' '.join(map(str, words))}: {done.stdout}{done.stderr}")
    return done.stdout


def unmount_below(directory: Path) -> None:
    """The last mounted first."""
    for target in reversed([each.target for each in mount.list_() if each.target.startswith(f"{directory}/")]):
        mount.remove_(Path(target))
