"""Programs in pods, as `exec` runs them: what they see, as whom they run, and what they cannot reach."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.kernel import mount, netns, process
from agent.kernel.cgroup import CgroupLimits
from agent.kernel.mount import Propagation
from agent.sandbox import podtree
from agent.sandbox.execplan import ExecOptions, exec_plan
from tests.kernel.bare_sandbox import Node, Sandbox

pytestmark = pytest.mark.kernel


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    tmp_path.chmod(0o755)
    with ExitStack() as cleanup:
        yield Node(tmp_path, cleanup)


@pytest.fixture
def web(node: Node) -> Sandbox:
    return node.sandbox("web")


# ── what it sees ──────────────────────────────────────────────────────────────────────────────────


def test_it_has_the_pods_hostname_and_files(web: Sandbox) -> None:
    assert web.run("hostname; cat /etc/hostname; tail -n +2 /etc/hosts | head -1") == "web\nweb\n127.0.0.1\tlocalhost\n"


def test_usr_and_etc_are_the_nodes_and_read_only(web: Sandbox) -> None:
    output = web.run("touch /usr/x; touch /etc/x; rm /usr/bin/env; cat /etc/os-release", status=0)
    assert output.count("Read-only file system") == 3
    assert Path("/etc/os-release").read_text(encoding="utf-8") in output


def test_nothing_else_of_the_node_is_there(web: Sandbox) -> None:
    seen = set(web.run("ls -A /").split())
    assert not seen - {"dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr", "var"} - {*podtree.LINKED}
    assert web.run("ls -A /run /tmp /home /root | tr -d '\\n'") == "/home:/root:/run:/tmp:"


def test_proc_shows_only_this_execution(web: Sandbox) -> None:
    other = web.start("sleep", "60")
    processes = web.run("ls /proc | grep -c '^[0-9]'; readlink /proc/self/exe >/dev/null; echo $$")
    other.kill()
    other.communicate()
    assert processes.split() == ["4", "2"]  # init, the shell, and the two ends of the pipe in it


def test_dev_is_minimal_and_works(web: Sandbox) -> None:
    names = web.run("echo $(ls /dev)")
    assert names == "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero\n"
    assert web.run("echo x > /dev/null; head -c 4 /dev/urandom | wc -c; head -c2 /dev/zero | od -An -tx1") == "4\n 00 00\n"


@pytest.mark.parametrize(
    "line",
    [
        "echo 1 > /proc/sys/vm/drop_caches",
        "echo h > /proc/sysrq-trigger",
        "mount -o remount,rw /usr",
        "mount -t tmpfs x /tmp",
        "umount /etc/hosts",
        "mknod /tmp/disk b 1 1",
        "hostname other",
        "cat /proc/1/environ",
    ],
)
def test_what_acts_on_the_node_is_refused(web: Sandbox, line: str) -> None:
    assert web.start("sh", "-c", line).wait(10) != 0


def test_a_privileged_container_may_mount(web: Sandbox) -> None:
    line = "mount -t tmpfs x /tmp && hostname other && hostname"
    assert web.run(line, container={"securityContext": {"privileged": True}}) == "other\n"


# ── as whom ───────────────────────────────────────────────────────────────────────────────────────


def test_user_and_groups_are_as_asked(web: Sandbox) -> None:
    context = {"runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 2000, "supplementalGroups": [4000]}
    assert web.run("id -u; id -g; id -G", securityContext=context) == "1000\n3000\n3000 2000 4000\n"


def test_root_has_a_containers_capabilities_and_a_user_none(web: Sandbox) -> None:
    line = "grep -E 'Cap(Inh|Prm|Eff|Bnd)' /proc/self/status | cut -f2 | tr '\\n' ' '"
    as_root = web.run(line).split()
    as_user = web.run(line, securityContext={"runAsUser": 1000}).split()
    nothing, usual = "0000000000000000", "00000000a00425fb"
    assert as_root == [nothing, usual, usual, usual]
    assert as_user == [nothing, nothing, nothing, usual]


def test_no_new_privileges(web: Sandbox) -> None:
    line = "grep NoNewPrivs /proc/self/status | cut -f2"
    assert web.run(line) == "0\n"
    assert web.run(line, container={"securityContext": {"allowPrivilegeEscalation": False}}) == "1\n"


def test_directory_and_environment(web: Sandbox) -> None:
    container = {"workingDir": "/var/tmp", "env": [{"name": "A", "value": "1"}]}
    assert web.run('pwd; echo "$A $HOSTNAME"', container=container) == "/var/tmp\n1 web\n"
    assert web.run("env | cut -d= -f1 | sort | tr '\\n' ' '") == "HOME HOSTNAME PATH PWD "


def test_a_read_only_root(web: Sandbox) -> None:
    container = {"securityContext": {"readOnlyRootFilesystem": True}}
    assert "Read-only" in web.run("touch /x", container=container, status=1)
    web.run("touch /x")


# ── pods and their neighbours ─────────────────────────────────────────────────────────────────────

LISTEN = "import socket; s = socket.create_server(('127.0.0.1', 8080)); print('ready', flush=True); s.accept()[0].send(b'hello')"
CONNECT = "import socket; print(socket.create_connection(('127.0.0.1', 8080), 5).recv(9).decode())"


def test_programs_of_one_pod_share_localhost_and_others_do_not(node: Node, web: Sandbox) -> None:
    server = web.start("python3", "-I", "-c", LISTEN)
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"
    assert "Connection refused" in node.sandbox("other").run(f'python3 -I -c "{CONNECT}"', status=1)
    assert web.run(f'python3 -I -c "{CONNECT}"') == "hello\n"
    assert server.wait(10) == 0


def test_programs_of_one_pod_share_system_v_ipc_and_others_do_not(node: Node, web: Sandbox) -> None:
    web.run("ipcmk --shmem 4096 --semaphore 1 --queue")
    count = "ipcs | grep -c ^0x"
    assert web.run(count) == "3\n"
    assert node.sandbox("other").run(count, status=1) == "0\n"


def test_programs_of_one_pod_share_posix_ipc_and_others_do_not(node: Node, web: Sandbox) -> None:
    make = (
        "import ctypes, os; from multiprocessing import shared_memory as m, resource_tracker as t; "
        "s = m.SharedMemory('segment', True, 64); t.unregister(s._name, 'shared_memory'); "
        "c = ctypes.CDLL(None, use_errno=True); print(c.mq_open(b'/queue', os.O_CREAT | os.O_RDWR, 0o600, None) >= 0)"
    )
    assert web.run(f'python3 -I -c "{make}"') == "True\n"
    assert web.run("ls /dev/shm /dev/mqueue | tr '\\n' ' '") == "/dev/mqueue: queue  /dev/shm: segment "
    assert node.sandbox("other").run("ls /dev/shm /dev/mqueue | tr '\\n' ' '") == "/dev/mqueue:  /dev/shm: "
    assert not Path("/dev/shm/segment").exists()


# ── limits and the end ────────────────────────────────────────────────────────────────────────────


def test_only_the_program_is_a_member_of_the_pods_group(node: Node, web: Sandbox) -> None:
    child = web.start("sleep", "60")
    assert _eventually(lambda: len(node.cgroups.processes("web")) == 1)
    (pid,) = node.cgroups.processes("web")
    assert _eventually(lambda: Path(f"/proc/{pid}/comm").read_text(encoding="utf-8") == "sleep\n")  # it joins, then it executes
    assert process.end_all(lambda: node.cgroups.processes("web"), grace_s=10) == 0
    assert child.wait(10) == 128 + signal.SIGTERM


def test_the_pids_limit_holds(node: Node) -> None:
    small = node.sandbox("small", CgroupLimits(pids=3))
    assert "Cannot fork" in small.run("sleep 60 >&- 2>&- & sleep 60 >&- 2>&- & sleep 60 & wait", status=2)


def test_the_memory_limit_holds(node: Node) -> None:
    small = node.sandbox("small", CgroupLimits(memory_bytes=24 << 20))
    child = small.start("python3", "-I", "-c", "x = bytearray(200 << 20)")
    assert child.wait(30) == 128 + signal.SIGKILL


@pytest.mark.parametrize("line", ["exit 7", "kill -9 $$", "kill -TERM $$"])
def test_the_exit_status_passes_through(web: Sandbox, line: str) -> None:
    assert web.start("sh", "-c", line).wait(10) == {"exit 7": 7, "kill -9 $$": 137, "kill -TERM $$": 143}[line]


def test_signals_pass_through_once(web: Sandbox) -> None:
    child = web.start("sh", "-c", "trap 'echo usr1' USR1; trap 'echo term; exit 5' TERM; echo ready; while :; do sleep 0.05; done")
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGUSR1)
    assert child.stdout.readline() == "usr1\n"
    child.send_signal(signal.SIGTERM)
    assert child.wait(10) == 5
    assert child.stdout.read() == "term\n"


def test_what_it_leaves_running_ends_with_it(node: Node, web: Sandbox) -> None:
    web.run("setsid sleep 60 >&- 2>&- <&- & echo started")
    assert _eventually(lambda: node.cgroups.processes("web") == ())


def test_it_ends_if_the_caller_is_killed(node: Node, web: Sandbox) -> None:
    child = web.start("sleep", "60")
    assert _eventually(lambda: len(node.cgroups.processes("web")) == 1)
    child.kill()
    assert _eventually(lambda: node.cgroups.processes("web") == ())


def test_an_orphan_is_reaped(web: Sandbox) -> None:
    line = "(sleep 0.1 & echo) >/dev/null; sleep 0.4; grep -l '^State:.Z' /proc/[0-9]*/status | wc -l"
    assert web.run(line) == "0\n"


def test_detached_it_outlives_the_caller_and_writes_a_log(node: Node, web: Sandbox) -> None:
    child = web.start("sh", "-c", "echo working; sleep 60", detach=True)
    output, errors = child.communicate(timeout=10)
    assert (child.returncode, errors) == (0, "")
    assert _eventually(lambda: len(node.cgroups.processes("web")) == 2)
    log = web.base / "web/logs/exec-c.log"
    assert _eventually(lambda: log.read_text(encoding="utf-8") == "working\n")
    os.kill(int(output), signal.SIGTERM)
    assert _eventually(lambda: not any(Path(f"/proc/{pid}/comm").exists() for pid in node.cgroups.processes("web")))


@pytest.mark.parametrize("detach", [False, True])
def test_a_program_that_cannot_run_is_told(web: Sandbox, detach: bool) -> None:
    child = web.start("nonesuch", detach=detach)
    assert child.communicate(timeout=10) == (
        "",
        "podwright exec: cannot run nonesuch: no such program in the pod, whose programs are the node's, in /usr\n",
    )
    assert child.returncode == 127
    child = web.start("/etc/os-release", detach=detach)
    assert "cannot run /etc/os-release: permission denied" in child.communicate(timeout=10)[1]
    assert child.returncode == 126


def test_a_pod_that_is_gone_is_told(node: Node, web: Sandbox) -> None:
    netns.remove(node.base / "ns/web")
    child = web.start("true")
    assert "cannot enter the pod: [Errno 2]" in child.communicate(timeout=10)[1]
    assert child.returncode == 126


# ── volumes ───────────────────────────────────────────────────────────────────────────────────────


def volume_mount(path: str, **more: Any) -> dict[str, Any]:
    return {"volumeMounts": [{"name": "data", "mountPath": path, **more}]}


def test_a_volume_is_at_its_path(web: Sandbox) -> None:
    data = web.volume("data")
    web.run("echo x > /srv/data/file", container=volume_mount("/srv/data"))
    assert (data / "file").read_text(encoding="utf-8") == "x\n"
    assert "Read-only" in web.run("touch /srv/data/y", container=volume_mount("/srv/data", readOnly=True), status=1)


@pytest.mark.parametrize("path", ["/etc/app/conf.d", "/usr/share/app/html"])
def test_a_volume_may_lie_where_the_node_has_nothing(web: Sandbox, path: str) -> None:
    (web.volume("data") / "file").write_text("x\n", encoding="utf-8")
    line = f"cat {path}/file; cat /etc/hostname; ls -A /usr/share | wc -l; ls -A /etc | wc -l; touch /etc/passwd /usr/bin/env"
    output = web.run(line, container=volume_mount(path), status=1)
    assert output.startswith("x\nweb\n")
    assert output.count("Read-only file system") == 2
    assert not Path(path).exists()
    counts = [int(word) for word in output.split()[2:4]]
    assert counts[0] >= len(os.listdir("/usr/share"))
    assert counts[1] >= len(os.listdir("/etc"))


def test_a_link_in_a_volume_leads_nowhere_but_into_the_pod(web: Sandbox) -> None:
    data = web.volume("data")
    target = web.base / "precious"
    target.mkdir()
    (data / "link").symlink_to(target)
    container = {"volumeMounts": [{"name": "data", "mountPath": "/a"}, {"name": "data", "mountPath": "/a/link/inner"}]}
    web.run("ls /a/link/inner", container=container)
    assert list(target.iterdir()) == []


@pytest.mark.parametrize(("propagation", "sees"), [("None", False), ("HostToContainer", True), ("Bidirectional", True)])
def test_a_later_mount_of_the_node_is_seen_as_asked(web: Sandbox, propagation: str, sees: bool) -> None:
    data = web.volume("data")
    mount.ensure_tmpfs(data)
    mount.set_propagation(data, Propagation.SHARED)
    (data / "later").mkdir()
    try:
        child = web.start("sh", "-c", "echo ready; read _; ls /data/later", container=volume_mount("/data", mountPropagation=propagation))
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        mount.ensure_tmpfs(data / "later")
        (data / "later/file").touch()
        assert child.communicate("\n", timeout=10)[0] == ("file\n" if sees else "")
    finally:
        mount.remove_(data / "later")
        mount.remove_(data)


def test_a_mount_of_the_pod_reaches_the_node_only_if_bidirectional(web: Sandbox) -> None:
    data = web.volume("data")
    mount.ensure_tmpfs(data)
    mount.set_propagation(data, Propagation.SHARED)
    (data / "inner").mkdir()
    try:
        for propagation, reaches in (("HostToContainer", False), ("Bidirectional", True)):
            container = {"securityContext": {"privileged": True}, **volume_mount("/data", mountPropagation=propagation)}
            web.run("mount -t tmpfs x /data/inner", container=container)
            assert (mount.find(data / "inner") is not None) == reaches
    finally:
        mount.remove_(data / "inner")
        mount.remove_(data)


def test_the_node_keeps_no_mount_of_it(web: Sandbox) -> None:
    web.volume("data")
    before = mount.list_()
    web.run("true", container=volume_mount("/etc/app"))
    assert mount.list_() == before


def test_a_plan_of_another_version_is_told(web: Sandbox) -> None:
    child = web.start_plan({"argv": ["true"], "colour": "red"})
    assert "agent and command are of different versions" in child.communicate(timeout=10)[1]
    assert child.returncode == 1


def test_the_plan_is_json_a_person_can_read(web: Sandbox) -> None:
    plan, _ = exec_plan(web.pod({}, {}), ExecOptions(argv=("true",)), web.paths)
    assert json.loads(msgspec.json.encode(plan))["binds"][0] == {
        "source": "/usr",
        "target": "/usr",
        "read_only": True,
        "recursive_read_only": True,
        "propagation": "None",
        "sub_path": "",
    }


def _eventually(is_true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
