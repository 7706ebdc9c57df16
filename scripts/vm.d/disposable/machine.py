"""One running guest. `with booted(…) as machines:` and they are gone when the block ends, or the process, however it ends.

Ready means that sshd answers and the clone is in place. A guest's console is kept in the cache (the last 20): it says
why one did not come up.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from . import carried, hypervisor, recipe
from .cache import Unable, cache, require_space, step
from .image import Image, image

BOOT_S = 240
CONSOLES_KEPT = 20
SEGMENT_4, SEGMENT_6 = "192.0.2.{}/24", "2001:db8::{}/64"
SSH_OPTIONS = (
    "-oBatchMode=yes",
    "-oHostKeyAlias=guest",
    "-oStrictHostKeyChecking=yes",
    "-oLogLevel=ERROR",
    "-oConnectTimeout=20",
    "-oServerAliveInterval=15",
    "-oServerAliveCountMax=8",
)


@dataclass
class Machine:
    """A guest and the way into it."""

    number: int
    image: Image
    ssh_port: int
    console: Path
    fresh: bool
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def name(self) -> str:
        return f"node-{self.number}"

    def ssh(self, *options: str) -> list[str]:
        files = (f"-oIdentityFile={self.image.identity}", f"-oUserKnownHostsFile={self.image.known_hosts}", "-oIdentitiesOnly=yes")
        return ["ssh", "-F/dev/null", *SSH_OPTIONS, *files, f"-p{self.ssh_port}", *options, "root@127.0.0.1"]

    def run(self, script: str, *, check: bool = True, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """A shell script in the clone's directory."""
        command = [*self.ssh(), f"cd {carried.CLONE} 2>/dev/null; {script}"]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False)
        if check and result.returncode != 0:
            raise AssertionError(f"{self.name}: `{script}` ended with {result.returncode}:\n{result.stdout}{result.stderr}")
        return result

    def out(self, script: str, *, timeout_s: float = 120) -> str:
        return self.run(script, timeout_s=timeout_s).stdout.strip()

    def wait_for_ssh(self, timeout_s: float = BOOT_S) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Unable(f"{self.name} ended while booting; its console: {self.console}")
            if says_hello(self.ssh_port) and self.run("true", check=False).returncode == 0:
                return
            time.sleep(0.2)
        raise Unable(f"{self.name} did not come up within {timeout_s:.0f} s; its console: {self.console}")

    def boot_id(self) -> str:
        return self.out("cat /proc/sys/kernel/random/boot_id")

    def reboot(self, how: str = "systemctl reboot") -> None:
        before = self.boot_id()
        self.run(how, check=False)
        deadline = time.monotonic() + BOOT_S
        while time.monotonic() < deadline:
            self.wait_for_ssh()
            if self.run("cat /proc/sys/kernel/random/boot_id", check=False).stdout.strip() not in {"", before}:
                return
            time.sleep(0.5)
        raise Unable(f"{self.name} did not reboot; its console: {self.console}")


def says_hello(port: int) -> bool:
    """sshd's greeting: QEMU takes a connection long before the guest does."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


@contextmanager
def booted(nodes: int = 1, *, kernel: str = "cloud-amd64", memory: int = 2048, fresh: bool = False) -> Iterator[list[Machine]]:
    hypervisor.require_qemu()
    hypervisor.require_memory(memory, nodes)
    system, python = image(kernel, fresh=fresh), carried.python_disk()
    require_space(Path("/var/tmp"), 1000 * nodes)  # QEMU's copies on write
    acceleration = hypervisor.accelerator(system)
    clone = os.memfd_create("clone")
    os.write(clone, carried.clone_archive())
    os.ftruncate(clone, -(-os.fstat(clone).st_size // 512) * 512)
    segment = hypervisor.Segment(free_port(socket.SOCK_DGRAM)) if nodes > 1 else None
    with ExitStack() as stack:
        stack.callback(os.close, clone)
        machines = []
        for number in range(1, nodes + 1):
            port, console = free_port(socket.SOCK_STREAM), new_console(number)
            disks = (str(python), f"/proc/self/fd/{clone}")
            guest = hypervisor.Guest(number, memory, port, console, disks, segment)
            command = hypervisor.command_line(system, guest, acceleration)
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(clone,), env={**os.environ, "TMPDIR": "/var/tmp"})
            stack.callback(end, process)
            machines.append(Machine(number, system, port, console, fresh, process))
        what = "KVM" if "kvm" in acceleration[1] else "TCG, about 20 times slower than this machine"
        with step(f"booting {nodes} of {'Debian' if fresh else 'Debian with what Podwright needs'} ({what})"):
            for machine in machines:
                machine.wait_for_ssh()
                machine.run(first_steps(machine.number, nodes, fresh=fresh))
        yield machines


def first_steps(number: int, nodes: int, *, fresh: bool) -> str:
    """What every guest needs once: its name, its address on the segment, the clone, the command."""
    name = f"node-{number}"
    steps = [
        "set -e",
        f"hostnamectl hostname {name} 2>/dev/null || {{ echo {name} >/etc/hostname; hostname {name}; }}",
        f"sed -i 's/node-1/{name}/' /etc/hosts",
        f"mountpoint -q {recipe.WHEELS} || mount {recipe.WHEELS}",  # a boot under load may have given up on it
        f"mkdir -p {carried.CLONE}",
        f"tar -C {carried.CLONE} -xf /dev/vdc",
    ]
    if nodes > 1:
        addresses = "\\n".join(f"Address={pattern.format(10 + number)}" for pattern in (SEGMENT_4, SEGMENT_6))
        network = f"[Match]\\nName=eth1\\n[Network]\\nIPv6AcceptRA=no\\n{addresses}\\n"
        steps += [f"printf '{network}' >/etc/systemd/network/60-segment.network", "networkctl reload", "networkctl reconfigure eth1"]
    if not fresh:
        steps += [
            f"ln -sfn {recipe.WHEELS}/venv {carried.CLONE}/.venv",
            f"ln -sfn {carried.CLONE}/.venv/bin/podwright /usr/local/bin/podwright",
        ]
    return "; ".join(steps)


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def new_console(number: int) -> Path:
    directory = cache() / "console"
    directory.mkdir(exist_ok=True)
    for old in sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime)[:-CONSOLES_KEPT]:
        old.unlink(missing_ok=True)
    return directory / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-node-{number}.log"


def end(process: subprocess.Popen[bytes]) -> None:
    """Its disk is thrown away, so it need not shut down."""
    process.kill()
    process.wait()


def enter(machine: Machine, command: Sequence[str], *, terminal: bool) -> int:
    """The command with our stdin, stdout and stderr, or a shell; its exit status."""
    words = " ".join(map(quoted, command)) or "exec bash -l"
    return subprocess.call([*machine.ssh(*(["-t"] if terminal else [])), f"cd {carried.CLONE} && {words}"])


def quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"
