"""The guests' system: two images of Debian 12, `fresh` and `ready`, with their kernel beside them.

mmdebstrap makes a directory, mke2fs writes it to a file without any mount. Downloads stay in the cache, so a build
that was interrupted, or one for another kernel, fetches nothing twice. The package archive in the guest holds what
its apt may be asked for (recipe.py); its index is written here, because apt-ftparchive would be one more thing to have.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from . import recipe
from .cache import Unable, cache, key_of, made, step

# measured: 29 s and 600 MB for the system, 300 MB for the archive, two images
NEEDS_MB = 6000


class Image(NamedTuple):
    """What the hypervisor boots, and the key that opens it."""

    disk: Path
    kernel: Path
    initrd: Path
    identity: Path
    known_hosts: Path


def image(kernel: str, *, fresh: bool) -> Image:
    name = "system-" + key_of(recipe.image_inputs(kernel), Path(__file__).read_text(encoding="utf-8"))
    there = made(name, lambda directory: build(directory, kernel), needs_mb=NEEDS_MB)
    disk = there / ("fresh.img" if fresh else "ready.img")
    return Image(disk, there / "vmlinuz", there / "initrd.img", there / "identity", there / "known_hosts")


def build(directory: Path, kernel: str) -> None:
    if os.geteuid() != 0:
        raise Unable("building the guest's system needs root: sudo scripts/vm")
    root = directory / "root"
    with step(f"installing Debian {recipe.SUITE} with {recipe.kernel_package(kernel)}"):
        install(root, kernel)
    with step("fetching the packages that the guest may ask for"):
        fetch_archive(root)
    finish(root, directory)
    with step("writing fresh.img"):
        write_disk(root, directory / "fresh.img")
    with step(f"installing {' '.join(recipe.wanted_packages())}"):
        chroot(root, "apt-get", "-qq", "update")
        chroot(root, "apt-get", "-qq", "install", "-y", "--no-install-recommends", *recipe.wanted_packages())
    with step("writing ready.img"):
        write_disk(root, directory / "ready.img")
    shutil.rmtree(root)


def install(root: Path, kernel: str) -> None:
    downloads = cache() / "downloads"
    downloads.mkdir(exist_ok=True)
    early = cache() / "early"
    for path, text in recipe.EARLY_FILES.items():
        write(early, path, text)
    archives = "/var/cache/apt/archives"
    run(
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        "--quiet",
        "--format=directory",
        "--skip=essential/unlink,cleanup/apt",
        "--aptopt=APT::Install-Recommends false",
        f"--include={','.join([*recipe.BASE, recipe.kernel_package(kernel)])}",
        f"--setup-hook=mkdir -p $1{archives} && cp -al {downloads}/. $1{archives}/ && cp -a {early}/. $1/",
        # what was fetched stays, whether the rest succeeds or not
        f"--essential-hook=cp -aln $1{archives}/*.deb {downloads}/",
        f"--customize-hook=cp -aln $1{archives}/*.deb {downloads}/",
        recipe.SUITE,
        str(root),
        *recipe.SOURCES,
        environment={"SOURCE_DATE_EPOCH": str(recipe.EPOCH)},
    )


def fetch_archive(root: Path) -> None:
    """Whatever a guest without them would have to download for these packages, as a flat archive with its index."""
    downloads, archives = cache() / "downloads", root / "var/cache/apt/archives"
    packages = recipe.archived_packages()
    options = ("-qq", "install", "-y", "--download-only", "--no-install-recommends")
    plan = chroot(root, "apt-get", "-qq", "install", "-y", "--print-uris", "--no-install-recommends", *packages)
    names = [line.split()[1] for line in plan.splitlines() if line.startswith("'")]
    chroot(root, "apt-get", *options, *packages)
    archive = root / recipe.ARCHIVE.lstrip("/")
    archive.mkdir(parents=True)
    # apt leaves out of its plan what it has downloaded before
    for path in sorted(archives.glob("*.deb")):
        if path.name in names or not is_installed(root, path):
            os.link(path, archive / path.name)
        if not (downloads / path.name).exists():
            os.link(path, downloads / path.name)
        path.unlink()
    (archive / "Packages").write_text("".join(map(index_entry, sorted(archive.glob("*.deb")))), encoding="utf-8")


def is_installed(root: Path, package: Path) -> bool:
    """By its exact version: a newer download beside it belongs to the archive."""
    name, version = package.stem.split("_")[:2]
    shown = subprocess.run(
        ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "-Wf", "${Version}\n", name], capture_output=True, text=True, check=False
    )
    return version.replace("%3a", ":") in shown.stdout.split()


def index_entry(package: Path) -> str:
    content = package.read_bytes()
    control = run("dpkg-deb", "--field", str(package)).strip()
    return f"{control}\nFilename: ./{package.name}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n\n"


def finish(root: Path, directory: Path) -> None:
    """Settings, keys and the kernel: what makes the directory a guest of ours."""
    for old in [*(root / "etc/apt/sources.list.d").glob("*"), *(root / "etc/ssh").glob("ssh_host_*")]:
        old.unlink()
    shutil.rmtree(root / "var/lib/apt/lists")
    shutil.rmtree(root / "var/cache/apt")
    for name in ("etc/resolv.conf", "etc/machine-id"):
        (root / name).unlink(missing_ok=True)
    for path, text in recipe.FILES.items():
        write(root, path, text)
    write(root, "/etc/machine-id", "uninitialized\n")
    for directory_name in (recipe.WHEELS, "/root/.ssh"):
        (root / directory_name.lstrip("/")).mkdir(parents=True, exist_ok=True, mode=0o700)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "guest", "-f", str(directory / "identity"))
    shutil.copy(directory / "identity.pub", root / "root/.ssh/authorized_keys")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "guest", "-f", str(root / "etc/ssh/ssh_host_ed25519_key"))
    public = (root / "etc/ssh/ssh_host_ed25519_key.pub").read_text(encoding="ascii")
    (directory / "known_hosts").write_text(f"guest {public}", encoding="ascii")
    run("systemctl", f"--root={root}", "--quiet", "mask", *recipe.MASKED)
    run("systemctl", f"--root={root}", "--quiet", "enable", *recipe.ENABLED)
    for found, name in ((root.glob("boot/vmlinuz-*"), "vmlinuz"), (root.glob("boot/initrd.img-*"), "initrd.img")):
        shutil.copy(only(found), directory / name)


def only(paths: Iterable[Path]) -> Path:
    (path,) = paths
    return path


def write_disk(root: Path, disk: Path) -> None:
    # a fixed name and hash seed: the same directory gives the same file
    seed = "706f6477-7269-6768-7400-000000000001"
    options = f"hash_seed={seed},lazy_itable_init=1,lazy_journal_init=1"
    run("mke2fs", "-q", "-t", "ext4", "-F", "-L", "system", "-U", seed, "-E", options, "-d", str(root), str(disk), f"{recipe.DISK_MB}M")


def write(root: Path, path: str, text: str) -> None:
    there = root / path.lstrip("/")
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_text(text, encoding="utf-8")


def chroot(root: Path, *command: str) -> str:
    """With /proc and /dev, in a mount namespace that goes with it; services stay unstarted."""
    script = (
        'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && mount -t tmpfs run "$0/run" '
        '&& mount --bind /etc/resolv.conf "$0/etc/resolv.conf" && printf \'exit 101\' > "$0/run/policy" && chmod +x "$0/run/policy" '
        '&& exec chroot "$0" "$@"'
    )
    environment = {"DEBIAN_FRONTEND": "noninteractive", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    return run("unshare", "--mount", "--", "sh", "-c", script, str(root), *command, environment=environment)


def run(*command: str, environment: dict[str, str] | None = None) -> str:
    started = ["setpriv", "--pdeathsig", "KILL", *command]  # whoever ends us ends the build
    result = subprocess.run(
        started, env=os.environ | (environment or {}), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise Unable(f"`{' '.join(command)[:200]}` failed:\n{(result.stderr or result.stdout).strip()[-2000:]}")
    return result.stdout
