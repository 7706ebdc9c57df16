"""What `cni install` writes, refuses, saves and restores."""

import json
import os
from pathlib import Path

import pytest

from agent.errors import AlreadyExists
from cni import spec
from cni.conflist import binary, conflist, install, uninstall
from cni.shim import VERSIONS


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "net.d", tmp_path / "bin"


def test_the_list_names_every_capability_and_the_versions() -> None:
    document = json.loads(conflist("pods"))
    assert (document["name"], document["cniVersion"]) == ("pods", "1.0.0")
    assert document["cniVersions"] == ["0.4.0", "1.0.0", "1.1.0"]
    assert document["plugins"] == [
        {"type": "podwright", "capabilities": dict.fromkeys(["portMappings", "bandwidth", "ips", "mac", "ipRanges", "dns"], True)}
    ]


def test_the_binary_is_one_file_that_knows_its_socket() -> None:
    text = binary(socket=Path("/x/agent's.sock"), spool=Path("/x/spool"))
    names: dict[str, object] = {}
    exec(compile(text, "podwright", "exec"), names)
    assert (names["SOCKET"], names["SPOOL"]) == ("/x/agent's.sock", "/x/spool")
    assert "def answer(" in str(names["ABSENT"])
    assert text.startswith("#!/usr/bin/python3 -IS\n")


def test_the_binary_and_the_agent_claim_the_same_versions() -> None:
    assert VERSIONS == spec.SUPPORTED


def test_install_then_again_then_uninstall(places: tuple[Path, Path]) -> None:
    conf_dir, bin_dir = places
    listed, target = conf_dir / "10-podwright.conflist", bin_dir / "podwright"
    assert install(conf_dir, bin_dir) == [f"{target} written", f"{listed} written"]
    assert (target.stat().st_mode & 0o777, listed.stat().st_mode & 0o777) == (0o755, 0o644)
    assert install(conf_dir, bin_dir) == [f"{target} is up to date", f"{listed} is up to date"]
    assert install(conf_dir, bin_dir, socket=Path("/other.sock"))[0] == f"{target} written"
    assert uninstall(conf_dir, bin_dir) == [f"{listed} removed", f"{target} removed"]
    assert uninstall(conf_dir, bin_dir) == []
    assert [*conf_dir.iterdir(), *bin_dir.iterdir()] == []


@pytest.mark.parametrize("name", ["00-other.conflist", "99-other.conf", "87-podman.json"])
def test_another_network_beside_ours_is_refused(places: tuple[Path, Path], name: str) -> None:
    conf_dir, bin_dir = places
    conf_dir.mkdir()
    (conf_dir / name).write_text("{}")
    with pytest.raises(AlreadyExists, match=name) as caught:
        install(conf_dir, bin_dir)
    assert "--force" in caught.value.hint
    assert not bin_dir.exists()


def test_force_says_who_comes_first(places: tuple[Path, Path]) -> None:
    conf_dir, bin_dir = places
    conf_dir.mkdir()
    (conf_dir / "00-other.conflist").write_text("{}")
    assert install(conf_dir, bin_dir, force=True)[-1] == (
        f"note: runtimes use {conf_dir}/00-other.conflist, which comes before 10-podwright.conflist"
    )


def test_a_foreign_file_is_refused_or_saved_and_restored(places: tuple[Path, Path]) -> None:
    conf_dir, bin_dir = places
    bin_dir.mkdir()
    target = bin_dir / "podwright"
    target.write_bytes(b"\x7fELF\xff")
    with pytest.raises(AlreadyExists, match="not podwright's"):
        install(conf_dir, bin_dir)
    install(conf_dir, bin_dir, force=True)
    assert "ABSENT" in target.read_text()
    assert uninstall(conf_dir, bin_dir)[-2:] == [f"{target} removed", f"{target} restored"]
    assert target.read_bytes() == b"\x7fELF\xff"


def test_uninstall_leaves_what_is_not_ours(places: tuple[Path, Path]) -> None:
    conf_dir, bin_dir = places
    conf_dir.mkdir()
    foreign = conf_dir / "10-podwright.conflist"
    foreign.write_text('{"plugins": [{"type": "bridge"}]}')
    assert uninstall(conf_dir, bin_dir) == []
    assert foreign.exists()


def test_a_reader_never_sees_half_a_file(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    conf_dir, bin_dir = places
    install(conf_dir, bin_dir)
    before = (bin_dir / "podwright").read_text()

    def power_cut(_: int) -> None:
        raise OSError("power cut")

    monkeypatch.setattr(os, "fsync", power_cut)
    with pytest.raises(OSError, match="power cut"):
        install(conf_dir, bin_dir, socket=Path("/other.sock"))
    assert (bin_dir / "podwright").read_text() == before
