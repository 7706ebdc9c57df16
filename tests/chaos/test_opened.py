"""The listener hears an impostor when there is one: without that its silence would mean nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.chaos.opened import listener
from tests.places import eventually
from tests.runtime.network_namespace import NetworkNamespace

pytestmark = pytest.mark.kernel


def test_an_impostor_is_heard(tmp_path: Path) -> None:
    with NetworkNamespace.made(tmp_path / "ear") as ear, NetworkNamespace.made(tmp_path / "liar") as liar:
        subprocess.run(
            ["ip", "link", "add", "p0", "netns", str(ear.path), "type", "veth", "peer", "name", "p1", "netns", str(liar.path)], check=True
        )
        for place, link, address in ((ear, "p0", "10.1.0.1/24"), (liar, "p1", "10.1.0.2/24")):
            place.run("ip", "link", "set", link, "up")
            place.run("ip", "address", "add", address, "dev", link)
        ear.run("ip", "route", "add", "default", "dev", "p0")
        with listener(tmp_path / "none", {"a": tmp_path, "b": ear.path}, {"a": ("10.9.9.9",), "b": ("10.1.0.1",)}) as heard:
            assert eventually(lambda: heard.impostors([liar.path])) == [f"{liar.path} spoke as 10.9.9.9"]
            assert heard.impostors([ear.path.parent / "gone"]) == []
