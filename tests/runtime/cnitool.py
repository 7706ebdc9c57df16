"""Fetch and build cnitool, the specification's own runtime. Run as a script before entering a box without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

MODULE = "github.com/containernetworking/cni/cnitool@v1.3.0"
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "bin"


def ensure() -> Path:
    """The built tool. Raises RuntimeError that says what is missing."""
    tool = CACHE / "cnitool"
    if tool.exists():
        return tool
    if not shutil.which("go"):
        raise RuntimeError("no Go compiler: apt-get install golang-go")
    built = subprocess.run(
        ["go", "install", MODULE], env={**os.environ, "GOBIN": str(tool.parent)}, capture_output=True, text=True, check=False
    )
    if built.returncode:
        raise RuntimeError(f"go install {MODULE} failed: {built.stderr.strip().splitlines()[-1]}")
    return tool


if __name__ == "__main__":
    try:
        print(ensure())
    except RuntimeError as error:
        sys.exit(str(error))
