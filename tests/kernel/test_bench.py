"""Every bench runs to its end and prints its table; what the numbers are is not a test's business."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import ROOT

pytestmark = pytest.mark.kernel
BENCH = ROOT / "scripts/bench"
WITH_PEER = pytest.mark.needs("/usr/lib/cni/bridge", "/usr/sbin/xtables-legacy-multi")


def bench(*words: str) -> str:
    command = [sys.executable, "-I", str(BENCH), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_without_a_name_they_are_listed() -> None:
    listed = [line.split()[0] for line in bench().splitlines()]
    assert listed == ["cni", "memory", "pods", "policy", "restart", "throughput"]


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("pods", "bridge: all answered"),
        ("memory", "bridge: restarted with 10 pods"),
        pytest.param("restart", "bridge: echoes lost", marks=pytest.mark.long),
        pytest.param("throughput", "bridge, IPv6: throughput", marks=(WITH_PEER, pytest.mark.long)),
        pytest.param("cni", "bridge: floor of ADD", marks=(WITH_PEER, pytest.mark.long)),
        pytest.param("policy", "pod relabelled, last packet", marks=pytest.mark.long),
    ],
)
def test_a_quick_run(name: str, row: str, tmp_path: Path) -> None:
    text = bench(name, "--quick", "--pairs", "2", "--mode", "bridge", "--json", str(tmp_path / "samples.json"))
    assert row in text
    document = json.loads((tmp_path / "samples.json").read_text(encoding="utf-8"))
    assert (document["bench"], document["quick"]) == (name, True)
    assert all(figure["samples"] for figure in document["figures"])
    assert all(len(comparison["ours"]) == len(comparison["peer"]) == 2 for comparison in document["comparisons"])
