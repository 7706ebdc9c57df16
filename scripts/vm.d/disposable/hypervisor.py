"""QEMU: which accelerator works here, and the command line of a guest.

/dev/kvm that opens proves little: nested or paravirtual KVM may never get a kernel to print its first line. So the
guest's own kernel is started once and given 5 s; the answer is kept until the machine's kernel or QEMU change.
Guests have a user-mode network that reaches nothing (restrict=on) but lends this machine a port on loopback, and
with several nodes a segment between them, which is a multicast group on loopback. Disks are copied on write into
files that QEMU has unlinked before it uses them.
"""

from __future__ import annotations

import json
import os
import platform
import select
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .cache import Unable, cache, step
from .image import Image

QEMU = "qemu-system-x86_64"
PROBE_S = 5.0
TCG = ("-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max")
KVM = ("-accel", "kvm", "-cpu", "host")
DIE_WITH_US = ("setpriv", "--pdeathsig", "KILL")


class Segment(NamedTuple):
    """The wire between the nodes of one run; nodes are numbered from 1."""

    port: int

    def arguments(self, number: int) -> list[str]:
        mac = f"52:54:00:70:77:{number:02x}"
        wire = f"socket,id=segment,mcast=230.0.0.1:{self.port},localaddr=127.0.0.1"
        return ["-netdev", wire, "-device", f"virtio-net-pci,netdev=segment,mac={mac},addr=0x11"]


class Guest(NamedTuple):
    """What differs between guests. Disks come after the system's, in order: vdb, vdc."""

    number: int
    memory_mb: int
    ssh_port: int
    console: Path
    disks: tuple[str, ...]
    segment: Segment | None = None


def command_line(image: Image, guest: Guest, accelerator: Sequence[str]) -> list[str]:
    kernel = "root=/dev/vda rw console=ttyS0 net.ifnames=0 panic=-1 loglevel=4"
    system = f"file={image.disk},format=raw,if=virtio,snapshot=on,cache=unsafe,discard=unmap"
    drives = [system, *(f"file={disk},format=raw,if=virtio,readonly=on" for disk in guest.disks)]
    user = f"user,id=user,restrict=on,hostfwd=tcp:127.0.0.1:{guest.ssh_port}-:22"
    return [
        *(*DIE_WITH_US, QEMU, *accelerator),
        *(
            "-smp",
            "2",
            "-m",
            str(guest.memory_mb),
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-serial",
            f"file:{guest.console}",
        ),
        *("-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", kernel),
        *(word for drive in drives for word in ("-drive", drive)),
        *("-netdev", user, "-device", "virtio-net-pci,netdev=user,addr=0x10", "-device", "virtio-rng-pci"),
        *(guest.segment.arguments(guest.number) if guest.segment else ()),
    ]


def accelerator(image: Image) -> tuple[str, ...]:
    """KVM's arguments if a guest's kernel starts under it, else TCG's."""
    known = cache() / "accelerator.json"
    version = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    question = [platform.release(), version]
    try:
        asked, answer = json.loads(known.read_text(encoding="utf-8"))
        if asked == question:
            return KVM if answer else TCG
    except (OSError, ValueError):
        pass  # never asked, or by another version of this
    with step(f"trying KVM for {PROBE_S:.0f} s"):
        answer = os.access("/dev/kvm", os.R_OK | os.W_OK) and kernel_prints(image)
    known.write_text(json.dumps([question, answer]), encoding="utf-8")
    return KVM if answer else TCG


def kernel_prints(image: Image) -> bool:
    command = [*DIE_WITH_US, QEMU, *KVM, "-m", "256", "-nodefaults", "-display", "none", "-serial", "stdio", "-kernel", str(image.kernel)]
    process = subprocess.Popen(
        [*command, "-append", "console=ttyS0 earlyprintk=ttyS0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        deadline, seen = time.monotonic() + PROBE_S, b""
        while b"Linux version" not in seen and select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
            if not (read := os.read(process.stdout.fileno(), 4096)):
                return False
            seen += read
        return b"Linux version" in seen
    finally:
        process.kill()
        process.wait()


def require_qemu() -> None:
    if shutil.which(QEMU) is None:
        raise Unable(f"needs {QEMU}: sudo apt-get install qemu-system-x86")


def require_memory(memory: int, nodes: int) -> None:
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    free = int(lines["MemAvailable"].split()[0]) >> 10
    if free < (needed := nodes * (memory + 150)):
        raise Unable(f"{free} MB of memory are free and {nodes} guests of {memory} MB need {needed}: use --memory or fewer --nodes")
