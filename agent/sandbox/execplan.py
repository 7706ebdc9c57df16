"""How to run one program in a pod, as a value: the agent plans, sandbox/enter.py acts.

The plan is complete: enter.py, which runs as root in a process of its own, asks nothing and decides nothing. Containers
have no image here, so the program comes from the node's /usr; what a pod's fields say about user, groups, privileges,
environment, directory and volumes is honoured. What cannot be is refused, or told in `warnings`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from agent.errors import InvalidObject, NotFound
from agent.kernel.libc import CAPABILITIES
from agent.objects.container import Container, VolumeMount
from agent.objects.pod import Pod
from agent.objects.quantity import Quantity
from agent.objects.security import SecurityContext
from agent.objects.validate_process import nul_problem
from agent.sandbox import environment as variables
from agent.sandbox.environment import Lookup

_DEFAULT_CAPABILITIES = (
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "NET_RAW"),
    *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
)
"""What container runtimes give, without MKNOD: no device cgroup guards what it makes."""
_HOST_DIRECTORIES = ("/usr", "/etc")
_OWN_ETC_FILES = ("hosts", "hostname", "resolv.conf")


class Bind(msgspec.Struct, frozen=True, kw_only=True):
    """`source` on the node, or what is at `sub_path` in it, shown at `target` in the pod. `propagation` has Kubernetes' names."""

    source: str
    target: str
    read_only: bool = False
    recursive_read_only: bool = False
    propagation: str = "None"
    sub_path: str = ""


class ExecPlan(msgspec.Struct, frozen=True, kw_only=True):
    """`namespaces`: paths by kind; `cgroup_files`: the program writes 0 into each; `groups`: all but `gid`'s own."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    working_directory: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    capabilities: tuple[str, ...]
    no_new_privileges: bool
    namespaces: dict[str, str]
    host_pid: bool
    cgroup_files: tuple[str, ...]
    binds: tuple[Bind, ...]
    read_only_root: bool
    unmask_proc: bool
    detach: bool
    log_file: str


@dataclass(frozen=True, slots=True)
class ExecOptions:
    """What the caller of `exec` says; empty means "as the container says"."""

    argv: tuple[str, ...] = ()
    container: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    detach: bool = False


@dataclass(frozen=True, slots=True)
class PodPaths:
    """Where the pod's things are on the node. `volumes` maps a volume's name to its directory or device, `read_only_volumes`
    are those that no mount may make writable; `shm` is a tmpfs all programs of the pod share; `etc` holds hosts, hostname,
    resolv.conf; a hostNetwork pod has no `net` namespace, a hostIPC pod no `ipc`. `room` is what the node has for pods: what
    a container without a limit may use."""

    namespaces: Mapping[str, Path]
    cgroup_files: tuple[Path, ...]
    etc: Path
    shm: Path
    logs: Path
    volumes: Mapping[str, Path] = field(default_factory=dict)
    room: Mapping[str, Quantity] = field(default_factory=dict)
    read_only_volumes: frozenset[str] = frozenset()


def exec_plan(pod: Pod, options: ExecOptions, paths: PodPaths, lookup: Lookup = variables.nothing) -> tuple[ExecPlan, tuple[str, ...]]:
    """The plan, and what a user should know of what it leaves out. Raises InvalidObject, NotFound."""
    container = container_of(pod, options.container)
    context = container.security_context or SecurityContext()
    uid, gid = _user(pod, container, context)
    home = {"HOME": "/root" if uid == 0 else "/"}
    environment, warnings = variables.environment(pod, container, defaults=home, wanted=options.environment, lookup=lookup, room=paths.room)
    volumes, missing = _volume_binds(container, paths, environment)
    privileged = bool(context.privileged)
    plan = ExecPlan(
        argv=_argv(pod, container, options, environment),
        environment=environment,
        working_directory=container.working_dir or "/",
        uid=uid,
        gid=gid,
        groups=_groups(pod, gid),
        capabilities=CAPABILITIES if privileged else _capabilities(container, context),
        no_new_privileges=context.allow_privilege_escalation is False,
        namespaces={kind: str(path) for kind, path in paths.namespaces.items()},
        host_pid=pod.spec.host_pid,
        cgroup_files=tuple(str(path) for path in paths.cgroup_files),
        binds=(*_node_binds(paths), *volumes),
        read_only_root=bool(context.read_only_root_filesystem),
        unmask_proc=privileged or context.proc_mount == "Unmasked",
        detach=options.detach,
        log_file=str(paths.logs / f"exec-{container.name}.log"),
    )
    return plan, (*warnings, *missing)


def container_of(pod: Pod, name: str) -> Container:
    """The container called `name`; the first one if no name is given."""
    if not name:
        return pod.spec.containers[0]
    for container in (*pod.spec.containers, *pod.spec.init_containers):
        if container.name == name:
            return container
    names = ", ".join(container.name for container in pod.spec.containers)
    raise NotFound(f"pod {pod.metadata.namespace}/{pod.metadata.name} has no container {name}", hint=f"it has: {names}")


def _argv(pod: Pod, container: Container, options: ExecOptions, environment: Mapping[str, str]) -> tuple[str, ...]:
    if options.argv and not options.argv[0]:
        raise InvalidObject("the command to run is an empty word", hint="name a program after --")
    problems = [*_nul_problems(enumerate(options.argv), "command"), *_nul_problems(options.environment.items(), "environment")]
    if problems:
        raise InvalidObject(f"cannot run this in pod {pod.metadata.namespace}/{pod.metadata.name}: {problems[0]}", problems=problems)
    if options.argv:
        return options.argv
    if not container.command:
        raise InvalidObject(
            f"container {container.name} of pod {pod.metadata.namespace}/{pod.metadata.name} has no command, and images are not read",
            hint=f"say what to run: podwright exec {pod.metadata.name} -- COMMAND",
        )
    return tuple(variables.expand(word, environment) for word in (*container.command, *container.args))


def _nul_problems(texts: Iterable[tuple[Any, str]], path: str) -> Iterator[str]:
    for name, text in texts:
        yield from nul_problem(text, f"{path}[{name}]")


def _user(pod: Pod, container: Container, context: SecurityContext) -> tuple[int, int]:
    of_pod = pod.spec.security_context
    uid = _first(context.run_as_user, of_pod.run_as_user, 0)
    gid = _first(context.run_as_group, of_pod.run_as_group, 0)
    if uid == 0 and _first(context.run_as_non_root, of_pod.run_as_non_root, False):
        raise InvalidObject(
            f"container {container.name} must not run as root (runAsNonRoot), but nothing says as whom",
            hint="set securityContext.runAsUser",
        )
    return uid, gid


def _groups(pod: Pod, gid: int) -> tuple[int, ...]:
    context = pod.spec.security_context
    wanted = [gid, *([context.fs_group] if context.fs_group is not None else []), *context.supplemental_groups]
    return tuple(dict.fromkeys(wanted))


def _capabilities(container: Container, context: SecurityContext) -> tuple[str, ...]:
    change = context.capabilities
    if change is None:
        return _DEFAULT_CAPABILITIES
    add, drop = ({name.upper().removeprefix("CAP_") for name in names} for names in (change.add, change.drop))
    unknown = sorted((add | drop) - {*CAPABILITIES, "ALL"})
    if unknown:
        raise InvalidObject(f"container {container.name}: securityContext.capabilities names an unknown one: {', '.join(unknown)}")
    base = set(CAPABILITIES) if "ALL" in add else set() if "ALL" in drop else set(_DEFAULT_CAPABILITIES)
    chosen = (base - drop) | (add - {"ALL"})
    return tuple(name for name in CAPABILITIES if name in chosen)


def _node_binds(paths: PodPaths) -> Iterator[Bind]:
    for directory in _HOST_DIRECTORIES:
        yield Bind(source=directory, target=directory, read_only=True, recursive_read_only=True)
    for name in _OWN_ETC_FILES:
        yield Bind(source=str(paths.etc / name), target=f"/etc/{name}", read_only=True)
    yield Bind(source=str(paths.shm), target="/dev/shm")  # noqa: S108 - in the pod


def _volume_binds(container: Container, paths: PodPaths, environment: Mapping[str, str]) -> tuple[list[Bind], tuple[str, ...]]:
    binds, warnings = [], []
    for number, mount in enumerate(container.volume_mounts):
        where = f"spec.containers[{container.name}].volumeMounts[{number}]"
        if mount.name in paths.volumes:
            binds.append(_volume_bind(mount, paths, environment, where))
        else:
            warnings.append(f"{where}: volume {mount.name} is not mounted on this node: {mount.mount_path} is missing")
    for number, device in enumerate(container.volume_devices):
        if device.name in paths.volumes:
            is_read_only = device.name in paths.read_only_volumes
            binds.append(Bind(source=str(paths.volumes[device.name]), target=device.device_path, read_only=is_read_only))
        else:
            warnings.append(f"spec.containers[{container.name}].volumeDevices[{number}]: volume {device.name} is not on this node")
    return binds, tuple(warnings)


def _volume_bind(mount: VolumeMount, paths: PodPaths, environment: Mapping[str, str], where: str) -> Bind:
    is_read_only = mount.read_only or mount.name in paths.read_only_volumes
    return Bind(
        source=str(paths.volumes[mount.name]),
        target=mount.mount_path,
        read_only=is_read_only,
        recursive_read_only=is_read_only and mount.recursive_read_only in ("Enabled", "IfPossible"),
        propagation=mount.mount_propagation.value,
        sub_path=_sub_path(mount, environment, where),
    )


def _sub_path(mount: VolumeMount, environment: Mapping[str, str], where: str) -> str:
    if not mount.sub_path_expr:
        return mount.sub_path
    if unknown := variables.unknown_references(mount.sub_path_expr, environment):
        raise InvalidObject(f"{where}.subPathExpr: no variable {', '.join(unknown)} is set")
    path = variables.expand(mount.sub_path_expr, environment)
    if path.startswith("/") or ".." in path.split("/") or not path:
        raise InvalidObject(f'{where}.subPathExpr: it becomes "{path}", which must be relative and without ".."')
    return path


def _first(*choices: int | None) -> int:
    """The first that was given (0 and False are given)."""
    return next(choice for choice in choices if choice is not None)
