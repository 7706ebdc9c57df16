"""The storage specification's own judge calls our driver: every call of an announced capability, mounted and as a device.

What it skips are the capabilities that we do not announce: attaching (ControllerPublishVolume: a volume is on its node
already) and group snapshots.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import ROOT, RunningAgent
from tests.runtime import go_tools

pytestmark = [pytest.mark.kernel, pytest.mark.needs("mkfs.ext4", "/dev/loop-control")]

SKIPPED = ("ControllerPublishVolume", "ControllerUnpublishVolume", "GroupController", "VolumeGroupSnapshot", "volume lifecycle")
"""By name; each is a capability that is not announced."""


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A driver in a process of its own beside a running agent."""
    home = Path(tmp_path_factory.mktemp("csi"))
    agent = RunningAgent(home).start()
    socket = home / "csi.sock"
    command = [sys.executable, "-m", "csi", "--endpoint", f"unix://{socket}", "--agent", str(agent.socket_path)]
    with (home / "csi.log").open("wb") as log:
        driver = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=os.environ)
    deadline = time.monotonic() + 15
    while not socket.exists():
        assert driver.poll() is None, (home / "csi.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield f"unix://{socket}"
    driver.terminate()
    assert driver.wait(15) == 0
    assert not socket.exists()
    agent.clear()


@pytest.mark.parametrize(
    ("access", "parameters", "size"),
    [
        pytest.param("mount", {}, 100 << 20, id="mount"),
        pytest.param("block", {}, 100 << 20, id="block"),
        pytest.param(
            "mount",
            {"fsType": "xfs", "allocation": "thin"},
            512 << 20,
            id="mount-xfs",
            marks=pytest.mark.needs("mkfs.xfs", "filesystem:xfs"),
        ),
    ],
)
def test_csi_sanity(endpoint: str, tmp_path: Path, access: str, parameters: dict[str, str], size: int) -> None:
    try:
        tool = go_tools.csi_sanity()
    except RuntimeError as error:
        pytest.skip(f"needs csi-sanity: {error}")
    report = tmp_path / "report.json"
    files = {"mutable": {"iops": "500"}, "parameters": parameters}
    for name, content in files.items():
        (tmp_path / f"{name}.yaml").write_text("".join(f'{key}: "{value}"\n' for key, value in content.items()))
    options = {
        "csi.endpoint": endpoint,
        "csi.mountdir": tmp_path / "mount",
        "csi.stagingdir": tmp_path / "staging",
        "csi.testvolumesize": size,
        "csi.testvolumeexpandsize": 2 * size,
        "csi.testvolumeaccesstype": access,
        "csi.testvolumemutableparameters": tmp_path / "mutable.yaml",
        "csi.testvolumeparameters": tmp_path / "parameters.yaml",
        "ginkgo.json-report": report,
    }
    command = [str(tool), "--ginkgo.no-color", *(f"--{name}={value}" for name, value in options.items())]
    judged = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert judged.returncode == 0, judged.stdout[-4000:]
    specs = [spec for suite in json.loads(report.read_text()) for spec in suite["SpecReports"] if spec["LeafNodeType"] == "It"]
    passed = [spec for spec in specs if spec["State"] == "passed"]
    assert len(passed) >= 75
    for spec in specs:
        name = " ".join((*spec["ContainerHierarchyTexts"], spec["LeafNodeText"]))
        assert spec["State"] in ("passed", "pending") or any(word in name for word in SKIPPED), name
