"""What a guest gets besides its system: Python packages on a disk of their own, and the clone as a tar file.

The packages are fetched for the guest's Python, whatever this machine's is, and carried twice: as wheels, from which
`scripts/up` installs as it would from PyPI, and unpacked as a virtual environment, because unpacking takes an emulated
processor a minute. The tar file holds what git would commit, changed files as they are now.
"""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

from .cache import cache, key_of, made, step
from .image import run, write
from .recipe import EPOCH, ROOT

GUEST_PYTHON = "3.11"
CLONE = "/podwright"  # where each user of the guest can read it
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64", "manylinux_2_34_x86_64")
LAUNCHER = "#!/usr/bin/env -S {clone}/.venv/bin/python\nimport sys\nfrom {module} import {name}\nsys.exit({name}())\n"


def requirements() -> list[str]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup["options"]["install_requires"] + setup["options.extras_require"]["test"]
    return [*filter(None, map(str.strip, lines.splitlines())), "setuptools>=64", "wheel", "pip"]


def python_disk() -> Path:
    """A disk labelled `python`: wheels/ for pip, venv/ ready to use."""
    name = "python-" + key_of(*requirements(), Path(__file__).read_text(encoding="utf-8"))
    return made(name, build, needs_mb=1000) / "python.img"


def build(directory: Path) -> None:
    root, wheels = directory / "root", directory / "root/wheels"
    downloads = cache() / "wheels"
    target = [
        "--only-binary=:all:",
        f"--python-version={GUEST_PYTHON}",
        "--implementation=cp",
        *(f"--platform={name}" for name in PLATFORMS),
    ]
    with step("fetching Python packages for the guest"):
        pip("download", *target, f"--dest={wheels}", f"--find-links={downloads}", *requirements())
        downloads.mkdir(exist_ok=True)
        run("cp", "-aln", f"{wheels}/.", str(downloads))
    with step("unpacking them into a virtual environment"):
        site = f"venv/lib/python{GUEST_PYTHON}/site-packages"
        pip("install", *target, "--no-index", f"--find-links={wheels}", f"--target={root / site}", *requirements())
        write(root, "venv/pyvenv.cfg", f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {GUEST_PYTHON}.2\n")
        write(root, f"{site}/clone.pth", f"{CLONE}\n")
        for command, module, name in (("pytest", "pytest", "console_main"), ("podwright", "agent.cli.main", "main")):
            write(root, f"venv/bin/{command}", LAUNCHER.format(clone=CLONE, module=module, name=name))
            (root / "venv/bin" / command).chmod(0o755)
        for python in ("python", "python3"):
            (root / "venv/bin" / python).symlink_to("/usr/bin/python3")
    size = int(run("du", "-sm", str(root)).split()[0]) * 5 // 4 + 32
    run("mke2fs", "-q", "-t", "ext4", "-F", "-L", "python", "-d", str(root), str(directory / "python.img"), f"{size}M")
    run("rm", "-rf", str(root))


def pip(*arguments: str) -> None:
    run(str(ROOT / ".venv/bin/pip"), "--disable-pip-version-check", "--quiet", *arguments)


def clone_archive() -> bytes:
    """As a tar file: what git knows and what it would add."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
    ).stdout
    present = b"\0".join(name for name in listed.split(b"\0") if name and (ROOT / name.decode()).is_file())
    command = ["tar", "-C", str(ROOT), "--owner=0", "--group=0", "--null", "--no-recursion", "-T", "-", "-c"]
    return subprocess.run(command, input=present, stdout=subprocess.PIPE, stderr=sys.stderr, check=True).stdout


__all__ = ["CLONE", "EPOCH", "clone_archive", "python_disk"]
