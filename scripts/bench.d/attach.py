"""A pod's network through CNI, ADD and DEL as the runtime sees them, against the reference chain.

Both sides are executed as a runtime would, into a fresh network namespace with one hostPort. The peer is
bridge + portmap + firewall of the containernetworking project.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from measure import Comparison, interleaved, milliseconds

PLUGINS = Path("/usr/lib/cni")
PODWRIGHT = Path(sys.executable).with_name("podwright")
HOST_PORT = 18080

Config = Mapping[str, Any]


class Chain:
    """Plugins executed one after the other, each with the result of the one before, as libcni does."""

    def __init__(self, name: str, directory: Path, plugins: Sequence[Config]) -> None:
        self._name, self._directory, self._plugins = name, directory, plugins
        self._result: Config | None = None

    def add(self, container: str, netns: Path) -> None:
        self._result = None
        for plugin in self._plugins:
            self._result = json.loads(self._execute("ADD", plugin, container, netns))

    def delete(self, container: str, netns: Path) -> None:
        for plugin in reversed(self._plugins):
            self._execute("DEL", plugin, container, netns)

    def _execute(self, verb: str, plugin: Config, container: str, netns: Path) -> bytes:
        config = {"cniVersion": "1.0.0", "name": self._name, **plugin}
        if plugin.get("capabilities", {}).get("portMappings"):
            config["runtimeConfig"] = {"portMappings": [{"hostPort": HOST_PORT, "containerPort": 80, "protocol": "tcp"}]}
        if self._result is not None:
            config["prevResult"] = self._result
        call = {
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": container,
            "CNI_NETNS": str(netns),
            "CNI_IFNAME": "eth0",
            "CNI_PATH": str(self._directory),
        }
        command = [str(self._directory / plugin["type"])]
        done = subprocess.run(command, env={**os.environ, **call}, input=json.dumps(config).encode(), capture_output=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{verb} by {plugin['type']} failed: {done.stdout.decode()} {done.stderr.decode()}")
        return done.stdout


def run(pairs: int) -> list[Comparison]:
    missing = [name for name in ("bridge", "portmap", "firewall", "host-local") if not (PLUGINS / name).exists()]
    if missing:
        sys.exit(f"the peer is not here: apt-get install containernetworking-plugins iptables (no {', '.join(missing)} in {PLUGINS})")
    with tempfile.TemporaryDirectory() as directory, agent(Path(directory)):
        ours = Chain("podwright", Path(directory, "bin"), [{"type": "podwright", "capabilities": {"portMappings": True}}])
        peer = Chain("reference", PLUGINS, reference_plugins())
        numbers = count(1)
        deletions: dict[Chain, list[float]] = {ours: [], peer: []}

        def cycle(chain: Chain) -> float:
            container = f"bench-{next(numbers)}"
            with namespace(Path(directory, container)) as netns:
                added = milliseconds(lambda: chain.add(container, netns))
                deletions[chain].append(milliseconds(lambda: chain.delete(container, netns)))
            return added

        for chain in (ours, peer):  # the first of each makes the bridge and the tables
            cycle(chain)
            deletions[chain].clear()
        additions = interleaved(lambda: cycle(ours), lambda: cycle(peer), pairs)
    chain_name = "bridge+portmap+firewall"
    return [
        Comparison("ADD", "ms", *additions, chain_name),
        Comparison("DEL", "ms", tuple(deletions[ours]), tuple(deletions[peer]), chain_name),
    ]


def reference_plugins() -> list[Config]:
    ipam = {"type": "host-local", "ranges": [[{"subnet": "10.99.0.0/20"}]], "routes": [{"dst": "0.0.0.0/0"}]}
    return [
        {"type": "bridge", "bridge": "cni-bench", "isGateway": True, "ipMasq": True, "hairpinMode": True, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
        {"type": "firewall"},
    ]


@contextmanager
def agent(directory: Path) -> Iterator[None]:
    log = directory / "agent.log"
    with log.open("wb") as output:
        process = subprocess.Popen([PODWRIGHT, "agent", "--log-level", "warning"], stdout=output, stderr=output)
    try:
        (directory / "bin").mkdir()
        subprocess.run(
            [PODWRIGHT, "cni", "install", "--bin-dir", directory / "bin", "--conf-dir", directory / "net.d"],
            check=True,
            capture_output=True,
        )
        deadline = time.monotonic() + 10
        while subprocess.run([PODWRIGHT, "status"], capture_output=True, check=False).returncode != 0:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the agent did not start:\n{log.read_text(encoding='utf-8')}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def namespace(path: Path) -> Iterator[Path]:
    path.touch()
    subprocess.run(["unshare", f"--net={path}", "true"], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)
        path.unlink()
