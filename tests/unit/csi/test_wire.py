"""The generated files are what the definitions say."""

from __future__ import annotations

from pathlib import Path

import pytest

from csi.wire import csi_pb2, generate, registration_pb2


@pytest.mark.parametrize("name", generate.DEFINITIONS)
def test_the_committed_files_are_what_protoc_makes(name: str, tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools", reason="needs grpcio-tools")
    generate.generate(tmp_path)
    for suffix in ("_pb2.py", "_pb2.pyi"):
        made = (tmp_path / "csi/wire" / (name + suffix)).read_text(encoding="utf-8")
        committed = (generate.HERE / (name + suffix)).read_text(encoding="utf-8")
        assert _plain(made) == _plain(committed), "run: python -m csi.wire.generate"


def _plain(text: str) -> list[str]:
    """Without the version of the tool: any that is new enough may make them."""
    lines = text.splitlines()
    start = next((index for index, line in enumerate(lines) if line.startswith("# Protobuf Python Version")), None)
    return [line for line in lines if not line.strip().rstrip(",").isdigit() and line != (lines[start] if start is not None else "")]


def test_package_and_services_are_the_specifications() -> None:
    assert csi_pb2.DESCRIPTOR.package == "csi.v1"
    assert set(csi_pb2.DESCRIPTOR.services_by_name) == {"Identity", "Controller", "Node"}
    assert registration_pb2.DESCRIPTOR.services_by_name["Registration"].full_name == "pluginregistration.Registration"
