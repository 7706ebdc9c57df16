"""The one door to other programs: an argument list in, its standard output back.

Always without a shell, in the C locale (so that output can be parsed), with a deadline, and in a process group of
its own, which is killed as a whole when the deadline passes: a child's child must not outlive the request.
A failure is CommandFailed with a line that can be pasted into a shell.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.errors import CommandFailed, DeadlineExceeded, Unsupported
from agent.killpoint import reach

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Searched last: what starts the agent may know nothing of sbin."""


@dataclass(frozen=True, slots=True)
class Outcome:
    status: int
    stdout: str
    stderr: str


def run(
    argv: Sequence[str],
    *,
    deadline_s: float = 30.0,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
    accept: Sequence[int] = (0,),
) -> str:
    """Run to the end and return stdout. `accept`: exit statuses that are no failure; `environment` adds to a minimal one."""
    outcome = run_anyhow(argv, deadline_s=deadline_s, stdin=stdin, environment=environment)
    if outcome.status not in accept:
        raise CommandFailed(shlex.join(argv), outcome.status, outcome.stderr)
    return outcome.stdout


def run_anyhow(
    argv: Sequence[str], *, deadline_s: float = 30.0, stdin: str | None = None, environment: Mapping[str, str] | None = None
) -> Outcome:
    """As run, for programs that say on stdout what went wrong."""
    line = shlex.join(argv)
    reach(f"run before {line}")
    child = _start(argv, stdin is not None, environment or {})
    try:
        stdout, stderr = child.communicate(stdin, timeout=deadline_s)
    except subprocess.TimeoutExpired:
        raise DeadlineExceeded(f"`{line}` did not end within {deadline_s:g} s and was killed") from None
    finally:
        _kill_group(child)
    reach(f"run after {line}")
    return Outcome(child.returncode, stdout, stderr)


def _start(argv: Sequence[str], has_stdin: bool, extra: Mapping[str, str]) -> subprocess.Popen[str]:
    path = ":".join(filter(None, (os.environ.get("PATH"), _SYSTEM_PATH)))
    environment = {"PATH": path, "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C", **extra}
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE if has_stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            encoding="utf-8",
            errors="replace",
            process_group=0,
        )
    except FileNotFoundError:
        raise Unsupported(f"cannot run {argv[0]}: no such program", hint=f"install the package that has {argv[0]}") from None


def _kill_group(child: subprocess.Popen[str]) -> None:
    """After a deadline or an exception; a no-op once the child was waited for (its number may belong to others by then)."""
    if child.poll() is not None:
        return
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
