"""What a guest is made of, as values: their text is the key under which the image is cached.

A guest is Debian 12 as a user would install it, without anything Podwright needs: `fresh`. What `scripts/up` and
`scripts/test` install is read from those scripts, and lies in the guest as a package archive of its own, from which
`ready` has been installed. Package versions are those of the day: Debian's snapshots are not asked.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SUITE = "bookworm"
MIRRORS = ("http://deb.debian.org/debian", "http://deb.debian.org/debian-security")
SOURCES = (
    f"deb {MIRRORS[0]} {SUITE} main",
    f"deb {MIRRORS[0]} {SUITE}-updates main",
    f"deb {MIRRORS[1]} {SUITE}-security main",
    f"deb {MIRRORS[0]} {SUITE}-backports main",
)
BASE = ("systemd-sysv", "dbus", "udev", "openssh-server", "initramfs-tools", "lz4", "sudo", "kmod", "iproute2", "less", "ca-certificates")
# not installed but in the guest's archive: what shares a node with us
COMPANIONS = ("docker.io", "ufw", "firewalld", "iptables", "lvm2")
EPOCH = 1_700_000_000
DISK_MB = 8192

ARCHIVE, WHEELS = "/srv/packages", "/srv/python"

FILES = {
    "/etc/hostname": "node-1\n",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 node-1\n",
    "/etc/resolv.conf": "nameserver 10.0.2.3\n",
    "/etc/fstab": f"/dev/vda / ext4 defaults 0 1\nLABEL=python {WHEELS} ext4 ro,nofail,x-systemd.device-timeout=20 0 0\n",
    "/etc/pip.conf": f"[global]\nno-index = true\nfind-links = {WHEELS}/wheels\ndisable-pip-version-check = true\n",
    "/etc/apt/sources.list": f"deb [trusted=yes] file:{ARCHIVE} ./\n",
    "/etc/systemd/network/50-user.network": "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=yes\n[DHCPv4]\nUseDNS=no\n",
    "/etc/ssh/sshd_config.d/guest.conf": "UseDNS no\nPrintMotd no\nMaxSessions 50\nMaxStartups 50\n",
    # the journal is small, and on the console only what matters
    "/etc/systemd/journald.conf.d/guest.conf": "[Journal]\nSystemMaxUse=64M\n",
}
# written before the kernel is installed: a small initramfs with what QEMU's devices need
EARLY_FILES = {
    "/etc/initramfs-tools/conf.d/guest": "MODULES=list\nCOMPRESS=lz4\n",
    "/usr/share/initramfs-tools/modules.d/guest": "virtio_pci\nvirtio_blk\next4\n",
}
# work of the first minutes that nobody waits for
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "systemd-timesyncd.service",
)
ENABLED = ("systemd-networkd.service",)


def kernel_package(kernel: str) -> str:
    """`cloud-amd64`, `amd64`, `6.1.0-50-amd64` …: what Debian calls it; `backports` is the newest of bookworm-backports."""
    return "linux-image-cloud-amd64/bookworm-backports" if kernel == "backports" else f"linux-image-{kernel}"


def wanted_packages(how: str = "ensure") -> list[str]:
    """What scripts/up and scripts/test ask apt for: what they `ensure`, or what they `offer`."""
    found: set[str] = set()
    for script in ("scripts/install.sh", "scripts/test", "scripts/up"):
        text = (ROOT / script).read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(rf"^\s*{how}_packages (.*)$", text, re.MULTILINE):
            found.update(re.findall(r"[\w./+-]+=([a-z0-9][a-z0-9.+-]+)", line))
    return sorted(found)


def archived_packages() -> list[str]:
    return sorted({*wanted_packages(), *wanted_packages("offer"), *COMPANIONS})


def image_inputs(kernel: str) -> str:
    """Everything an image depends on but the code of image.py, which adds itself."""
    return repr(
        (
            SOURCES,
            BASE,
            COMPANIONS,
            EPOCH,
            DISK_MB,
            FILES,
            EARLY_FILES,
            MASKED,
            ENABLED,
            kernel_package(kernel),
            wanted_packages(),
            archived_packages(),
        )
    )
