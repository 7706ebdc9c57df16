"""Run one program in a pod: `python -I -m agent.sandbox.enter --plan-fd N`, as root, with an ExecPlan as JSON on N.

Three processes. The *outer* one stays on the node, passes signals on and ends as the program ended. *Init* is process 1
of a process namespace of this one execution (so its /proc shows the program and its children, and all of them end
with it); it joins the pod's namespaces, builds the tree of sandbox/podtree.py, reaps and passes signals on. The *program*
joins the pod's cgroups, drops privileges and is executed: only it and its children are members, so the pod's limits
count nothing of ours, and whoever ends the pod by its cgroup does not signal the program twice.
With `detach` the outer process ends as soon as the program was executed, after printing init's process number.
A hostPID pod has no process namespace: init is an ordinary process, and its end reaches the program by a signal.

A terminal signals its whole foreground group itself (si_code SI_KERNEL): those signals are not passed on.
Users feel the start-up time: import only what is needed. The field names of Plan are those of execplan.ExecPlan (tested).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any, NamedTuple, NoReturn

from agent.errors import Forbidden, NotFound, PodwrightError
from agent.kernel import libc
from agent.sandbox import podtree

_SI_KERNEL = 0x80
_FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_WATCHED = frozenset((*_FORWARDED, signal.SIGCHLD))
_CANNOT_RUN, _NOT_FOUND = 126, 127


class Plan(NamedTuple):
    argv: list[str]
    environment: dict[str, str]
    working_directory: str
    uid: int
    gid: int
    groups: list[int]
    capabilities: list[str]
    no_new_privileges: bool
    namespaces: dict[str, str]
    host_pid: bool
    cgroup_files: list[str]
    binds: list[dict[str, Any]]
    read_only_root: bool
    unmask_proc: bool
    detach: bool
    log_file: str


def main(arguments: list[str]) -> NoReturn:
    if len(arguments) != 2 or arguments[0] != "--plan-fd":
        sys.exit("usage: python -I -m agent.sandbox.enter --plan-fd N (started by `podwright exec`)")
    with open(int(arguments[1]), encoding="utf-8") as file:
        fields = json.load(file)
    try:
        plan = Plan(**fields)
    except TypeError as error:
        sys.exit(f"podwright exec: agent and command are of different versions: {error}; restart the agent")
    _outer(plan)


def _outer(plan: Plan) -> NoReturn:
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    failures, failed = os.pipe()
    if not plan.host_pid:
        libc.unshare(libc.CLONE_NEWPID)
    init = os.fork()
    if init == 0:
        os.close(failures)
        _init(plan, failed)
    os.close(failed)
    with open(failures, encoding="utf-8") as pipe:
        failure = pipe.read()
    if failure:
        sys.stderr.write(f"podwright exec: {failure}\n")
    elif plan.detach:
        print(init, flush=True)
        os._exit(0)
    os._exit(_attend(init))


def _init(plan: Plan, failed: int) -> NoReturn:
    """Process 1. `failed` takes the reason if the program cannot be executed; executing closes it."""
    os.umask(0o022)
    try:
        if plan.detach:
            _detach(plan.log_file)
        else:
            libc.prctl(libc.PR_SET_PDEATHSIG, signal.SIGKILL)
        cgroups = [os.open(file, os.O_WRONLY | os.O_CLOEXEC) for file in plan.cgroup_files]
        _join_namespaces(plan.namespaces)
        binds = [podtree.Bind(**bind) for bind in plan.binds]
        podtree.build(binds, read_only_root=plan.read_only_root, unmask_proc=plan.unmask_proc)
        program = os.fork()
        if program == 0:
            _become(plan, cgroups)
    except (OSError, PodwrightError) as error:
        _fail(failed, error)
    os.close(failed)
    os._exit(_attend(program))


def _detach(log_file: str) -> None:
    """A session of its own; input from nowhere, output to the log."""
    os.setsid()
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    for target, source in ((0, null), (1, log), (2, log)):
        os.dup2(source, target)


def _join_namespaces(namespaces: dict[str, str]) -> None:
    for kind, path in namespaces.items():
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        libc.setns(fd, libc.NAMESPACE_KINDS[kind])
        os.close(fd)


def _become(plan: Plan, cgroups: list[int]) -> NoReturn:
    """Turn into the program. As root up to the working directory, which need not be readable for the program's user."""
    for fd in cgroups:
        os.write(fd, b"0")
    os.chdir(plan.working_directory)
    _drop_privileges(plan)
    if plan.host_pid:  # set last: changing the user clears it
        libc.prctl(libc.PR_SET_PDEATHSIG, signal.SIGKILL)
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):  # Python's own choices
        signal.signal(ignored, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _execute(plan.argv, plan.environment)


def _execute(argv: list[str], environment: dict[str, str]) -> NoReturn:
    try:
        os.execvpe(argv[0], argv, environment)  # noqa: S606 - the purpose of this file
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"cannot run {argv[0]}: no such program in the pod, whose programs are the node's, in /usr") from None
    except OSError as error:
        raise Forbidden(f"cannot run {argv[0]}: {os.strerror(error.errno or 0).lower()}") from None


def _drop_privileges(plan: Plan) -> None:
    wanted = sum(1 << libc.CAPABILITIES.index(name) for name in plan.capabilities)
    last = int(_first_line("/proc/sys/kernel/cap_last_cap"))
    for number in range(last + 1):
        if not wanted >> number & 1:
            libc.prctl(libc.PR_CAPBSET_DROP, number)
    os.setgroups(plan.groups)
    os.setresgid(plan.gid, plan.gid, plan.gid)
    os.setresuid(plan.uid, plan.uid, plan.uid)
    kept = wanted & _permitted()
    libc.set_capabilities(kept, kept, 0)
    if plan.no_new_privileges:
        libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)


def _permitted() -> int:
    """The capabilities that changing the user has left; none may be asked for beyond them."""
    with open("/proc/self/status", encoding="utf-8", errors="replace") as status:
        return next(int(line.split()[1], 16) for line in status if line.startswith("CapPrm:"))


def _attend(child: int) -> int:
    """Reap, and pass signals on, until `child` ends; its exit status, or 128 and its signal's number."""
    while True:
        arrived = signal.sigwaitinfo(_WATCHED)
        if arrived.si_signo == signal.SIGCHLD:
            status = _reap(child)
            if status is not None:
                return status
        elif arrived.si_code != _SI_KERNEL:
            os.kill(child, arrived.si_signo)


def _reap(child: int) -> int | None:
    status: int | None = None
    while status is None:
        try:
            pid, raw = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if pid == 0:
            return None
        if pid == child:
            code = os.waitstatus_to_exitcode(raw)
            status = code if code >= 0 else 128 - code
    return status


def _fail(pipe: int, error: Exception) -> NoReturn:
    """Tell the outer process why, and end."""
    text = str(error) if isinstance(error, PodwrightError) else f"cannot enter the pod: {error}"
    os.write(pipe, text[:1000].encode(errors="replace"))
    os._exit(_NOT_FOUND if isinstance(error, NotFound) else _CANNOT_RUN)


def _first_line(path: str) -> str:
    with open(path, encoding="utf-8") as file:  # a codec that is loaded: this Python may not be in the pod
        return file.readline().strip()


if __name__ == "__main__":
    main(sys.argv[1:])
