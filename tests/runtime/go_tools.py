"""Fetch and build what Debian does not have: cnitool and csi-sanity, the specifications' own judges, and newer reference plugins.

Run as a script before entering a box, which reaches no network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLUGINS_VERSION = "1.9.1"
PLUGINS = ROOT / f".cache/cni-plugins-{PLUGINS_VERSION}"
CSI_SANITY = ROOT / ".cache/bin/csi-sanity"
CNITOOL = ROOT / ".cache/bin/cnitool"
_PLUGINS = (
    "main/bridge",
    "main/loopback",
    "main/ptp",
    "ipam/host-local",
    "ipam/static",
    "meta/bandwidth",
    "meta/firewall",
    "meta/portmap",
    "meta/tuning",
)


def cnitool() -> Path:
    """The built tool. Raises RuntimeError that says what is missing."""
    _ensure(CNITOOL.parent, {CNITOOL.name: "github.com/containernetworking/cni/cnitool@v1.3.0"})
    return CNITOOL


def csi_sanity() -> Path:
    """The storage specification's own judge."""
    _ensure(CSI_SANITY.parent, {CSI_SANITY.name: "github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity@v5.5.0"})
    return CSI_SANITY


def plugins() -> Path:
    """The directory that they are in. Raises RuntimeError that says what is missing."""
    module = "github.com/containernetworking/plugins/plugins"
    _ensure(PLUGINS, {Path(name).name: f"{module}/{name}@v{PLUGINS_VERSION}" for name in _PLUGINS})
    return PLUGINS


def _ensure(directory: Path, modules: dict[str, str]) -> None:
    missing = [module for name, module in modules.items() if not (directory / name).exists()]
    if not missing:
        return
    if not shutil.which("go"):
        raise RuntimeError("no Go compiler: apt-get install golang-go")
    environment = {**os.environ, "GOBIN": str(directory)}
    built = subprocess.run(["go", "install", *missing], env=environment, capture_output=True, text=True, check=False)
    if built.returncode:
        raise RuntimeError(f"go install {missing[0]} failed: {built.stderr.strip().splitlines()[-1]}")


if __name__ == "__main__":
    try:
        print(cnitool(), csi_sanity(), plugins(), sep="\n")
    except RuntimeError as error:
        sys.exit(str(error))
