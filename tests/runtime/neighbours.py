"""cnitool with a list of our own making: podwright beside Debian's reference plugins, or with their IPAM."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cni.conflist import install
from tests.running import RunningAgent
from tests.runtime.network_namespace import NetworkNamespace

REFERENCE = Path("/usr/lib/cni")
CAPABILITIES = {"portMappings": True, "bandwidth": True, "ips": True, "mac": True, "ipRanges": True}


class Neighbours:
    """`plugins` are the list's; one named podwright is ours."""

    def __init__(self, tool: Path, folder: Path, agent: RunningAgent, *plugins: Mapping[str, Any], version: str = "1.0.0") -> None:
        self._tool, self._folder = tool, folder
        install(folder / "net.d", folder / "bin", socket=agent.socket_path, spool=agent.state_dir / "spool")
        listed = {"cniVersion": version, "name": "mixed", "plugins": list(plugins)}
        (folder / "net.d" / "10-podwright.conflist").write_text(json.dumps(listed))

    def __call__(self, verb: str, namespace: NetworkNamespace, *, check: bool = True, args: str = "", **capabilities: Any) -> Any:
        environment = {
            **os.environ,
            "NETCONFPATH": str(self._folder / "net.d"),
            "CNI_PATH": f"{self._folder / 'bin'}:{REFERENCE}",
            "CNI_IFNAME": "eth0",
            "CNI_ARGS": args or "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web",
            "CAP_ARGS": json.dumps(capabilities),
        }
        done = subprocess.run(
            [self._tool, verb, "mixed", namespace.path], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode == 0) == check, f"cnitool {verb}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout + done.stderr


def told(result: Mapping[str, Any]) -> list[str]:
    """The addresses of a result, without prefix lengths."""
    return [entry["address"].partition("/")[0] for entry in result["ips"]]


def shown(*words: str) -> Any:
    """What ip(8) shows of the node."""
    return json.loads(subprocess.run(["ip", "-j", *words], capture_output=True, text=True, check=True).stdout or "[]")


def leases(directory: Path) -> Sequence[str]:
    """Addresses that host-local has on record."""
    return sorted(path.name for path in directory.rglob("*") if path.is_file() and not path.name.startswith(("lock", "last_reserved")))
