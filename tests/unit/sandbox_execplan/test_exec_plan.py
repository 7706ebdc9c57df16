"""What `exec` makes of a pod's fields, before anything is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.errors import InvalidObject, NotFound
from agent.objects.meta import decode_hook
from agent.objects.pod import Pod
from agent.sandbox import enter, podtree
from agent.sandbox.execplan import Bind, ExecOptions, ExecPlan, PodPaths, exec_plan

PATHS = PodPaths(
    namespaces={"net": Path("/run/podwright/ns/u/net")},
    cgroup_files=(Path("/sys/fs/cgroup/podwright/podu/cgroup.procs"),),
    etc=Path("/pods/u/etc"),
    shm=Path("/pods/u/shm"),
    logs=Path("/pods/u/logs"),
    volumes={"data": Path("/pods/u/volumes/data")},
)

AS_THE_CONTAINER_SAYS = ExecOptions()


def pod(container: dict[str, Any] | None = None, **spec: Any) -> Pod:
    first = {"name": "app", "command": ["serve"], **(container or {})}
    tree = {
        "metadata": {"name": "web", "namespace": "shop", "uid": "u", "labels": {"app": "web"}},
        "spec": {"containers": [first, {"name": "side"}], **spec},
    }
    return msgspec.convert(tree, Pod, dec_hook=decode_hook)


def plan(container: dict[str, Any] | None = None, *, options: ExecOptions = AS_THE_CONTAINER_SAYS, **spec: Any) -> ExecPlan:
    return exec_plan(pod(container, **spec), options, PATHS)[0]


def test_the_reader_knows_every_field() -> None:
    """enter.py must not import msgspec, so it repeats the shapes."""
    assert enter.Plan._fields == ExecPlan.__struct_fields__
    assert podtree.Bind._fields == Bind.__struct_fields__
    written = msgspec.json.encode(plan())
    assert enter.Plan(**msgspec.json.decode(written)).argv == ["serve"]


def test_the_containers_command_runs_if_none_is_given() -> None:
    assert plan({"args": ["--port", "80"]}).argv == ("serve", "--port", "80")
    assert plan(options=ExecOptions(argv=("ls", "-l"))).argv == ("ls", "-l")


def test_a_container_without_a_command_needs_one() -> None:
    with pytest.raises(InvalidObject, match="container side of pod shop/web has no command") as caught:
        plan(options=ExecOptions(container="side"))
    assert caught.value.hint == "say what to run: podwright exec web -- COMMAND"


def test_an_unknown_container_is_named_with_those_there_are() -> None:
    with pytest.raises(NotFound, match="pod shop/web has no container nope") as caught:
        plan(options=ExecOptions(container="nope"))
    assert caught.value.hint == "it has: app, side"


def test_variables_see_those_before_them() -> None:
    env = [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "$(A)2 $$(A) $(UNKNOWN)"},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
    ]
    environment = plan({"env": env, "args": ["$(B)"]}).environment
    assert environment["B"] == "12 $(A) $(UNKNOWN)"
    assert environment["NODE"] == "web"
    assert environment["HOSTNAME"] == "web"
    assert plan({"env": env, "args": ["$(A)"]}).argv == ("serve", "1")


def test_the_callers_variables_win() -> None:
    made = plan({"env": [{"name": "TERM", "value": "dumb"}]}, options=ExecOptions(environment={"TERM": "xterm"}))
    assert made.environment["TERM"] == "xterm"


def test_a_variable_that_cannot_be_resolved_is_told() -> None:
    env = [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    with pytest.raises(NotFound, match=r"spec.containers\[app\].env\[KEY\]: secret s does not exist"):
        plan({"env": env})


@pytest.mark.parametrize(
    ("of_pod", "of_container", "expected"),
    [
        ({}, {}, (0, 0, (0,))),
        ({"runAsUser": 1000}, {}, (1000, 0, (0,))),
        ({"runAsUser": 1000, "runAsGroup": 3000}, {"runAsUser": 2000}, (2000, 3000, (3000,))),
        ({"runAsUser": 1000}, {"runAsUser": 0}, (0, 0, (0,))),
        ({"fsGroup": 5, "supplementalGroups": [6, 5]}, {"runAsGroup": 7}, (0, 7, (7, 5, 6))),
    ],
)
def test_user_and_groups(of_pod: dict[str, Any], of_container: dict[str, Any], expected: tuple[int, int, tuple[int, ...]]) -> None:
    made = plan({"securityContext": of_container}, securityContext=of_pod)
    assert (made.uid, made.gid, made.groups) == expected


def test_run_as_non_root_refuses_root() -> None:
    with pytest.raises(InvalidObject, match="container app must not run as root"):
        plan(securityContext={"runAsNonRoot": True})
    assert plan(securityContext={"runAsNonRoot": True, "runAsUser": 5}).uid == 5


def test_capabilities() -> None:
    assert "SYS_ADMIN" not in plan().capabilities
    assert "NET_BIND_SERVICE" in plan().capabilities
    assert plan({"securityContext": {"capabilities": {"drop": ["ALL"], "add": ["CAP_NET_ADMIN"]}}}).capabilities == ("NET_ADMIN",)
    assert "SYS_ADMIN" in plan({"securityContext": {"privileged": True}}).capabilities
    with pytest.raises(InvalidObject, match="names an unknown one: NET_ADMINN"):
        plan({"securityContext": {"capabilities": {"add": ["NET_ADMINN"]}}})


def test_volumes_come_after_the_nodes_directories() -> None:
    mounts = [{"name": "data", "mountPath": "/etc/app", "readOnly": True, "mountPropagation": "HostToContainer"}]
    binds = plan({"volumeMounts": mounts}).binds
    assert binds[0] == Bind(source="/usr", target="/usr", read_only=True, recursive_read_only=True)
    assert binds[-1] == Bind(source="/pods/u/volumes/data", target="/etc/app", read_only=True, propagation="HostToContainer")


def test_a_volume_that_is_not_there_is_told() -> None:
    made, warnings = exec_plan(pod({"volumeMounts": [{"name": "lost", "mountPath": "/x"}]}), ExecOptions(), PATHS)
    assert "/x" not in [bind.target for bind in made.binds]
    assert warnings == ("spec.containers[app].volumeMounts[0]: volume lost is not mounted on this node: /x is missing",)


def test_the_remaining_fields() -> None:
    context = {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "procMount": "Unmasked"}
    made = plan({"workingDir": "/tmp", "securityContext": context}, options=ExecOptions(detach=True))
    assert made.working_directory == "/tmp"
    assert (made.read_only_root, made.no_new_privileges, made.unmask_proc, made.detach) == (True, True, True, True)
    assert made.log_file == "/pods/u/logs/exec-app.log"
    assert made.namespaces == {"net": "/run/podwright/ns/u/net"}
