"""A pod's namespaces, files and cgroup without the agent, and programs run in it as `exec` does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from agent.kernel import cgroup, mount, netns, process
from agent.kernel.cgroup import CgroupLimits, Cgroups
from agent.objects.meta import decode_hook
from agent.objects.pod import Pod
from agent.sandbox import files
from agent.sandbox.execplan import ExecOptions, PodPaths, exec_plan

UNLIMITED = CgroupLimits()
REPOSITORY = Path(__file__).parents[2]
ENTER = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); from agent.sandbox import enter; enter.main(sys.argv[1:])"


@dataclass
class Sandbox:
    """A pod's namespaces, files and group, without the agent."""

    name: str
    base: Path
    cgroups: Cgroups
    volumes: dict[str, Path] = field(default_factory=dict)

    @property
    def paths(self) -> PodPaths:
        spaces = {kind: self.base / "ns" / self.name / kind for kind in ("net", "uts", "ipc")}
        own = self.base / self.name
        return PodPaths(spaces, self.cgroups.join_files(self.name), own / "etc", own / "shm", own / "logs", self.volumes)

    def pod(self, container: Mapping[str, Any], spec: Mapping[str, Any]) -> Pod:
        tree = {"metadata": {"name": self.name, "namespace": "test"}, "spec": {"containers": [{"name": "c", **container}], **spec}}
        return msgspec.convert(tree, Pod, dec_hook=decode_hook)

    def start(self, *argv: str, detach: bool = False, container: Mapping[str, Any] = {}, **spec: Any) -> subprocess.Popen[str]:
        plan, _ = exec_plan(self.pod(container, spec), ExecOptions(argv=argv, detach=detach), self.paths)
        return self.start_plan(msgspec.to_builtins(plan))

    def start_plan(self, plan: Mapping[str, Any]) -> subprocess.Popen[str]:
        fd = os.memfd_create("plan", 0)
        os.write(fd, msgspec.json.encode(plan))
        os.lseek(fd, 0, os.SEEK_SET)
        command = [sys.executable, "-I", "-c", ENTER, "--plan-fd", str(fd)]
        pipe = subprocess.PIPE
        try:
            return subprocess.Popen(command, pass_fds=[fd], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        finally:
            os.close(fd)

    def run(self, line: str, *, status: int = 0, **more: Any) -> str:
        """A shell line to its end; its output, with what it said on stderr."""
        child = self.start("sh", "-c", f"exec 2>&1; {line}", **more)
        output, errors = child.communicate(timeout=30)
        assert child.returncode == status, output + errors
        return output

    def volume(self, name: str) -> Path:
        """A directory that can be mounted as volume `name`."""
        self.volumes[name] = self.base / self.name / "volumes" / name
        self.volumes[name].mkdir(parents=True)
        return self.volumes[name]


class Node:
    """Makes sandboxes, and takes away all of it."""

    def __init__(self, base: Path, cleanup: ExitStack) -> None:
        self.base, self.cleanup = base, cleanup
        self.cgroups = Cgroups(cgroup.detect(), f"podwright-test-{os.getpid()}")
        cleanup.callback(self.cgroups.remove_parent)
        netns.ensure_root(base / "ns")
        cleanup.callback(mount.remove_, base / "ns")

    def sandbox(self, name: str, limits: CgroupLimits = UNLIMITED) -> Sandbox:
        made = Sandbox(name, self.base, self.cgroups)
        own = self.base / name
        netns.create(self.base / "ns" / name, hostname=name)
        mount.ensure_tmpfs(own / "shm", data="mode=1777,size=64m")
        (own / "logs").mkdir()
        files.write(own / "etc", files.pod_files(made.pod({}, {}), (), files.Resolver()))
        self.cgroups.ensure_(name, limits)
        self.cleanup.callback(mount.remove_, own / "shm")
        self.cleanup.callback(self.cgroups.remove_, name)
        self.cleanup.callback(process.end_all, lambda: self.cgroups.processes(name), grace_s=0)
        return made
