"""Makes the Python files of the wire definitions beside it: `python -m csi.wire.generate` (needs grpcio-tools).

What it makes is committed and not edited; a test makes it again and compares.
"""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path

HERE = Path(__file__).parent
DEFINITIONS = ("csi", "registration")


def generate(target: Path) -> None:
    """Into `target`, as csi/wire/NAME_pb2.py and .pyi; services are served from their descriptors (server.py)."""
    from grpc_tools import protoc  # noqa: PLC0415 - a tool of developers, not of the driver

    root = HERE.parent.parent
    included = str(resources.files("grpc_tools").joinpath("_proto"))
    outputs = [f"--{kind}_out={target}" for kind in ("python", "pyi")]
    files = [f"csi/wire/{name}.proto" for name in DEFINITIONS]
    status = protoc.main(["protoc", f"-I{root}", f"-I{included}", *outputs, *files])
    if status:
        raise SystemExit(f"protoc ended with status {status}")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent.parent)
