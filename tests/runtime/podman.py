"""podman 4 with its CNI backend (podman 5 has none). Debian's package, a state of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from agent.kernel import mount
from tests.runtime import image
from tests.runtime.engine import NETWORK, SERVE, RunPod, command, unmount_below

NAMESPACES = Path("/run/netns")
"""podman mounts it over itself, for good."""
_SETTINGS = """\
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:8192"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
infra_image = "{image}"
infra_command = "/bin/sleep"
[network]
network_backend = "cni"
cni_plugin_dirs = ["{bin_dir}"]
network_config_dir = "{conf_dir}"
default_network = "{network}"
"""


class Podman:
    """`runroot`: podman wants its path to have no more than 50 characters."""

    def __init__(self, directory: Path, runroot: Path) -> None:
        self._directory, self._runroot = directory, runroot

    def load_image(self) -> None:
        image.write(archive := self._directory / "image.tar")
        self._podman("load", "--input", str(archive))

    def run(self, name: str, *, namespace: str = "", labels: Mapping[str, str] = {}, host_port: int = 0) -> RunPod:
        """podman knows no namespaces of pods; `namespace` is passed over."""
        ports = ["--publish", f"{host_port}:80"] if host_port else []
        marks = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
        pod = self._podman("pod", "create", "--name", name, "--hostname", name, *marks, *ports).strip()
        container = self._podman("run", "--detach", "--pod", pod, "--name", f"{name}-web", image.NAME, *SERVE).strip()
        infra = json.loads(self._podman("pod", "inspect", pod))["InfraContainerID"]
        network = json.loads(self._podman("inspect", infra, "--format", "{{json .NetworkSettings}}"))["Networks"][NETWORK]
        return RunPod(name, infra, container, (network["IPAddress"], network["GlobalIPv6Address"]))

    def execute(self, pod: RunPod, *words: str) -> str:
        return self._podman("exec", pod.container, *words)

    def remove(self, pod: RunPod) -> None:
        self._podman("pod", "rm", "--force", "--time", "0", pod.name)

    def remove_all(self) -> None:
        self._podman("pod", "rm", "--all", "--force", "--time", "0")

    def _podman(self, *words: str) -> str:
        at = self._directory
        places = ["--root", at / "root", "--runroot", self._runroot, "--tmpdir", at / "tmp"]
        return command(["podman", *places, *words], {"CONTAINERS_CONF": str(at / "containers.conf")})


@contextmanager
def started(directory: Path, conf_dir: Path, bin_dir: Path) -> Iterator[Podman]:
    """There is no daemon to start."""
    settings = _SETTINGS.format(image=image.NAME, conf_dir=conf_dir, bin_dir=bin_dir, network=NETWORK)
    (directory / "containers.conf").write_text(settings)
    was_mounted = NAMESPACES.is_mount()
    with TemporaryDirectory(prefix="pw-") as runroot:
        engine = Podman(directory, Path(runroot))
        engine.load_image()
        try:
            yield engine
            engine.remove_all()
        finally:
            unmount_below(directory)
            unmount_below(Path(runroot))
            if not was_mounted:
                mount.remove_(NAMESPACES)
