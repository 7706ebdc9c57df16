"""containerd, spoken to over the container runtime interface as a kubelet does. Debian's package, a state of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from tests.runtime import image
from tests.runtime.engine import SERVE, CommandFailed, RunPod, command, unmount_below

LOOPBACK = Path("/usr/lib/cni/loopback")
"""containerd 1.x sets up lo by a plugin of that name, which must be beside ours."""
_SETTINGS = """\
version = 2
root = "{directory}/root"
state = "{directory}/state"
[grpc]
address = "{directory}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{image}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
conf_dir = "{conf_dir}"
bin_dir = "{bin_dir}"
"""


class Containerd:
    def __init__(self, directory: Path) -> None:
        self._directory, self._socket = directory, directory / "containerd.sock"
        self._types, services = grpc.protos_and_services("tests/runtime/cri.proto")
        self._channel = grpc.insecure_channel(f"unix://{self._socket}")
        self._cri = services.RuntimeServiceStub(self._channel)
        self._settings: dict[str, Any] = {}

    def close(self) -> None:
        self._channel.close()

    def load_image(self) -> None:
        image.write(archive := self._directory / "image.tar")
        command(["ctr", "--address", self._socket, "--namespace", "k8s.io", "images", "import", archive])

    def is_ready(self) -> bool:
        """Its network too: it has read our configuration, and the plugin's STATUS if it knows the verb."""
        try:
            conditions = self._cri.Status(self._types.StatusRequest()).status.conditions
        except grpc.RpcError:
            return False
        return all(each.status for each in conditions)

    def run(self, name: str, *, namespace: str = "", labels: Mapping[str, str] = {}, host_port: int = 0) -> RunPod:
        types = self._types
        settings = types.PodSandboxConfig(
            metadata=types.PodSandboxMetadata(name=name, uid=f"uid-of-{name}", namespace=namespace or "default"),
            hostname=name,
            log_directory=str(self._directory / "logs"),
            port_mappings=[types.PortMapping(container_port=80, host_port=host_port)] if host_port else [],
            labels=labels,
        )
        sandbox = self._cri.RunPodSandbox(types.RunPodSandboxRequest(config=settings)).pod_sandbox_id
        self._settings[sandbox] = settings
        container = types.ContainerConfig(
            metadata=types.ContainerMetadata(name="web"), image=types.ImageSpec(image=image.NAME), command=SERVE, log_path="web.log"
        )
        create = types.CreateContainerRequest(pod_sandbox_id=sandbox, config=container, sandbox_config=settings)
        container_id = self._cri.CreateContainer(create).container_id
        self._cri.StartContainer(types.StartContainerRequest(container_id=container_id))
        network = self._cri.PodSandboxStatus(self._named(sandbox)).status.network
        return RunPod(name, sandbox, container_id, (network.ip, *(each.ip for each in network.additional_ips)))

    def execute(self, pod: RunPod, *words: str) -> str:
        done = self._cri.ExecSync(self._types.ExecSyncRequest(container_id=pod.container, cmd=words, timeout=10))
        if done.exit_code:
            raise CommandFailed(f"{words} in {pod.name}: {done.stdout!r} {done.stderr!r}")
        return str(done.stdout.decode())

    def remove(self, pod: RunPod) -> None:
        self._cri.StopPodSandbox(self._named(pod.id))
        self._cri.RemovePodSandbox(self._named(pod.id))

    def remove_all(self) -> None:
        for each in self._cri.ListPodSandbox(self._types.ListPodSandboxRequest()).items:
            self._cri.StopPodSandbox(self._named(each.id))
            self._cri.RemovePodSandbox(self._named(each.id))

    def _named(self, sandbox: str) -> Any:
        return self._types.PodSandboxRequest(pod_sandbox_id=sandbox)


@contextmanager
def started(directory: Path, conf_dir: Path, bin_dir: Path) -> Iterator[Containerd]:
    (bin_dir / LOOPBACK.name).symlink_to(LOOPBACK)
    settings = directory / "config.toml"
    settings.write_text(_SETTINGS.format(directory=directory, image=image.NAME, conf_dir=conf_dir, bin_dir=bin_dir))
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(["containerd", "--config", settings], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    engine = Containerd(directory)
    try:
        _wait(engine, process, directory / "log")
        engine.load_image()
        yield engine
        engine.remove_all()
    finally:
        engine.close()
        process.terminate()
        process.wait(15)
        _end_shims(directory)
        unmount_below(directory)


def _wait(engine: Containerd, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    while not engine.is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"containerd is not ready:\n{log.read_text()[-3000:]}")
        time.sleep(0.05)


def _end_shims(directory: Path) -> None:
    """Of pods that a failed test left: they outlive containerd, and know it by its socket."""
    mark = str(directory / "containerd.sock").encode()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it ended
        if words[0].endswith(b"containerd-shim-runc-v2") and mark in words:
            os.kill(int(path.name), signal.SIGKILL)
