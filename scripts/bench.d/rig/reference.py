"""The peer: plugins of the containernetworking project, executed as libcni does, in the node or in one of their own.

`Chain` runs any plugins, ours too. A peer's node is a network namespace without a single rule of ours: our tables
would see its bridged frames, and it would be measured with our firewall in its way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.prober import NODE, inside

PLUGINS = Path("/usr/lib/cni")
Config = Mapping[str, Any]


def require(*names: str) -> None:
    missing = [name for name in names if not (PLUGINS / name).exists()]
    if missing:
        sys.exit(f"the peer is not here: apt-get install containernetworking-plugins (no {', '.join(missing)} in {PLUGINS})")


@contextmanager
def namespace(path: Path) -> Iterator[Path]:
    """A network namespace held at `path`."""
    path.touch()
    subprocess.run(["unshare", f"--net={path}", "ip", "link", "set", "lo", "up"], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)
        path.unlink()


class Chain:
    """Plugins executed one after the other, each with the result of the one before."""

    def __init__(self, name: str, directory: Path, plugins: Sequence[Config], *, node: Path = NODE, path: str = "") -> None:
        """`node`: the network namespace to run them in. `path` goes before PATH, for the programs that they start."""
        self._name, self._directory, self._plugins, self._node = name, directory, plugins, node
        self._environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}" if path else os.environ["PATH"]}

    def add(self, container: str, netns: Path, ports: Sequence[Config] = ()) -> Config:
        result: Config = {}
        with inside(self._node):
            for plugin in self._plugins:
                result = json.loads(self._execute("ADD", plugin, container, netns, ports, result))
        return result

    def delete(self, container: str, netns: Path, ports: Sequence[Config] = (), result: Config | None = None) -> None:
        with inside(self._node):
            for plugin in reversed(self._plugins):
                self._execute("DEL", plugin, container, netns, ports, result or {})

    def _execute(  # noqa: PLR0913, PLR0917 (what a plugin is called with)
        self, verb: str, plugin: Config, container: str, netns: Path, ports: Sequence[Config], result: Config
    ) -> bytes:
        config = {"cniVersion": "1.0.0", "name": self._name, **plugin}
        if ports and plugin.get("capabilities", {}).get("portMappings"):
            config["runtimeConfig"] = {"portMappings": list(ports)}
        if result:
            config["prevResult"] = result
        call = {"CNI_COMMAND": verb, "CNI_CONTAINERID": container, "CNI_NETNS": str(netns), "CNI_IFNAME": "eth0"}
        environment = {**self._environment, **call, "CNI_PATH": str(self._directory)}
        command = [str(self._directory / plugin["type"])]
        done = subprocess.run(command, env=environment, input=json.dumps(config).encode(), capture_output=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{verb} by {plugin['type']} failed: {done.stdout.decode()} {done.stderr.decode()}")
        return done.stdout


def bridge(name: str, ranges: Sequence[str], *, data: Path, **settings: Any) -> Config:
    """The bridge plugin with host-local addresses, one range per family; leases are kept in `data`."""
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": subnet}] for subnet in ranges],
        "routes": [{"dst": "::/0" if ":" in subnet else "0.0.0.0/0"} for subnet in ranges],
        "dataDir": str(data),
    }
    return {"type": "bridge", "bridge": name, "isGateway": True, "hairpinMode": True, **settings, "ipam": ipam}


def addresses(result: Config) -> list[str]:
    return [entry["address"].partition("/")[0] for entry in result["ips"]]


def hostport_chain(ranges: Sequence[str], data: Path) -> list[Config]:
    """What a node with host ports has: bridge, portmap, firewall."""
    return [
        bridge("bench0", ranges, data=data, ipMasq=True),
        {"type": "portmap", "capabilities": {"portMappings": True}},
        {"type": "firewall"},
    ]


def iptables_path(flavour: str, directory: Path) -> str:
    """A directory to put before PATH, in which iptables is of this flavour (legacy or nft)."""
    directory.mkdir()
    for name in ("iptables", "ip6tables"):
        for command in ("", "-save", "-restore"):
            (directory / f"{name}{command}").symlink_to(f"/usr/sbin/xtables-{flavour}-multi")
    return str(directory)
