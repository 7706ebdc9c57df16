"""vagrant/Vagrantfile, as far as a machine without any of its providers can tell."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

VAGRANT = Path(__file__).parents[3] / "vagrant"


@pytest.mark.spawns
@pytest.mark.needs("vagrant")
@pytest.mark.parametrize("nodes", ["1", "2"])
def test_the_file_is_valid(nodes: str, tmp_path: Path) -> None:
    elsewhere = {"NODES": nodes, "VAGRANT_HOME": str(tmp_path / "home"), "VAGRANT_DOTFILE_PATH": str(tmp_path / "dot")}
    command = ["vagrant", "validate", "--ignore-provider"]
    result = subprocess.run(command, cwd=VAGRANT, env=os.environ | elsewhere, capture_output=True, text=True, check=False)
    assert "Vagrantfile validated successfully" in result.stdout, result.stdout + result.stderr
