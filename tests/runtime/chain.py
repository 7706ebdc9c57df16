"""Plugins executed as libcni executes a list: one after the other, each with the result of the one before, DEL backwards.

Any plugins, ours too. `node` is the network namespace they run in: the node that the test is on, or one of a peer's
own, without a single rule of ours.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.prober import NODE, inside

DEBIAN = Path("/usr/lib/cni")
Config = Mapping[str, Any]


class Refused(Exception):
    """A plugin's error, as the specification has it."""

    def __init__(self, plugin: str, verb: str, output: str) -> None:
        super().__init__(f"{verb} by {plugin} failed: {output}")
        try:
            self.code = int(json.loads(output)["code"])
        except (ValueError, LookupError, TypeError):
            self.code = -1


@dataclass(frozen=True, slots=True)
class Call:
    """What a runtime says of one interface; `runtime` by capability, `args` as in CNI_ARGS."""

    container: str
    netns: Path | str
    runtime: Config = field(default_factory=dict)
    args: str = ""
    ifname: str = "eth0"


class Chain:
    def __init__(
        self,
        name: str,
        directory: Path,
        plugins: Sequence[Config],
        *,
        node: Path = NODE,
        path: str = "",
        version: str = "1.0.0",
        also: Sequence[Path] = (),
    ) -> None:
        """`path` goes before PATH, for the programs that the plugins start; `also`: more directories of plugins."""
        self._name, self._directories, self._plugins, self._node = name, [directory, *also], plugins, node
        self._version = version
        self._environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}" if path else os.environ["PATH"]}

    def add(self, call: Call) -> Config:
        result: Config = {}
        with inside(self._node):
            for plugin in self._plugins:
                result = json.loads(self._execute("ADD", plugin, call, result))
        return result

    def check(self, call: Call, result: Config) -> None:
        with inside(self._node):
            for plugin in self._plugins:
                self._execute("CHECK", plugin, call, result)

    def delete(self, call: Call, result: Config | None = None) -> None:
        with inside(self._node):
            for plugin in reversed(self._plugins):
                self._execute("DEL", plugin, call, result or {})

    def _execute(self, verb: str, plugin: Config, call: Call, result: Config) -> bytes:
        config = {"cniVersion": self._version, "name": self._name, **plugin}
        wanted = {key: value for key, value in call.runtime.items() if plugin.get("capabilities", {}).get(key)}
        if wanted:
            config["runtimeConfig"] = wanted
        if result:
            config["prevResult"] = result
        given = {"COMMAND": verb, "CONTAINERID": call.container, "NETNS": str(call.netns), "IFNAME": call.ifname, "ARGS": call.args}
        environment = {**self._environment, **{f"CNI_{name}": value for name, value in given.items()}}
        environment["CNI_PATH"] = os.pathsep.join(map(str, self._directories))
        directory = next(each for each in self._directories if (each / plugin["type"]).exists())
        command = [str(directory / plugin["type"])]
        done = subprocess.run(command, env=environment, input=json.dumps(config).encode(), capture_output=True, check=False)
        if done.returncode != 0:
            raise Refused(plugin["type"], verb, done.stdout.decode() or done.stderr.decode())
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


def iptables_path(flavour: str, directory: Path) -> str:
    """A directory to put before PATH, in which iptables is of this flavour (legacy or nft)."""
    directory.mkdir()
    for name in ("iptables", "ip6tables"):
        for command in ("", "-save", "-restore"):
            (directory / f"{name}{command}").symlink_to(f"/usr/sbin/xtables-{flavour}-multi")
    return str(directory)
