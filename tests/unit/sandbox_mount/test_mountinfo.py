"""Reading the kernel's list of mounts."""

from __future__ import annotations

from pathlib import Path

from agent.kernel import mount

LINES = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
96 27 254:0 /data /mnt/with\040space ro,nosuid shared:12 master:3 - ext4 /dev/vda rw,discard
97 96 0:50 / /mnt/with\040space rw - tmpfs a\134b rw,size=4k
"""


def test_a_line_is_read() -> None:
    found = mount.parse(LINES)[1]
    assert (found.root, found.target, found.source) == ("/data", "/mnt/with space", "/dev/vda")
    assert found.is_read_only
    assert found.propagation == ("shared:12", "master:3")
    assert found.super_options == ("rw", "discard")


def test_of_stacked_mounts_the_topmost_is_found() -> None:
    found = mount.find(Path("/mnt/with space"), mount.parse(LINES))
    assert found is not None
    assert (found.id, found.source) == (97, r"a\b")


def test_absent_is_none() -> None:
    assert mount.find(Path("/mnt"), mount.parse(LINES)) is None
