"""A guest's command line: it reaches nothing, writes to nothing that stays, and dies with us."""

from __future__ import annotations

from pathlib import Path

import pytest
from disposable import hypervisor
from disposable.cache import Unable
from disposable.hypervisor import TCG, Guest, Segment, command_line
from disposable.image import Image

IMAGE = Image(Path("/c/ready.img"), Path("/c/vmlinuz"), Path("/c/initrd.img"), Path("/c/identity"), Path("/c/known_hosts"))
GUEST = Guest(1, 512, 2222, Path("/c/console"), ("/c/python.img", "/proc/self/fd/7"))


def line(guest: Guest) -> str:
    return " ".join(command_line(IMAGE, guest, TCG))


def test_one_guest() -> None:
    assert line(GUEST).startswith("setpriv --pdeathsig KILL qemu-system-x86_64 -accel tcg")
    assert "-m 512" in line(GUEST)
    assert "file=/c/ready.img,format=raw,if=virtio,snapshot=on" in line(GUEST)
    assert "file=/c/python.img,format=raw,if=virtio,readonly=on" in line(GUEST)
    assert "restrict=on,hostfwd=tcp:127.0.0.1:2222-:22" in line(GUEST)
    assert "segment" not in line(GUEST)


def test_nodes_share_a_segment_on_loopback_and_differ_by_their_mac() -> None:
    first, second = (line(GUEST._replace(number=number, segment=Segment(5555))) for number in (1, 2))
    assert "mcast=230.0.0.1:5555,localaddr=127.0.0.1" in first
    assert "mac=52:54:00:70:77:01" in first
    assert first.replace("77:01", "77:02") == second


def test_more_memory_than_there_is() -> None:
    with pytest.raises(Unable, match=r"MB of memory are free and 3 guests of 99999999 MB need \d+: use --memory or fewer --nodes"):
        hypervisor.require_memory(99_999_999, 3)


def test_no_hypervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unable, match="needs qemu-system-x86_64: sudo apt-get install qemu-system-x86"):
        hypervisor.require_qemu()
