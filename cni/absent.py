"""What the CNI binary does when the agent is down or hung. Its text is part of the installed binary (see shim.py).

ADD and CHECK wait a little for an agent that is restarting, then say "try again later" (11); STATUS says "not
available" (50); GC fails. DEL succeeds, because a failed DEL keeps a runtime from releasing all the rest: it is
written durably to the spool, which the agent drains.

The spool cannot lose a race with an agent that starts. Here: take the lock shared, try to connect once more,
else write the entry, unlock. There: listen, take the lock exclusive, drain, unlock, and only then accept. So
either we meet a listening socket, or the agent meets our entry. The lock is never held while waiting for an
answer: the agent may be waiting for it before it answers.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from typing import Any, Protocol

WAIT_S = 5.0
"""How long ADD and CHECK wait for an agent to come up; an agent restarts in about one second."""
POLL_S = 0.05
LOCK_WAIT_S = 20.0
NEWEST = "1.1.0"

Answer = tuple[int, bytes]


class Agent(Protocol):
    """shim.Agent"""

    def connect(self, seconds: int) -> Any: ...

    def converse(self, connection: Any, request: bytes) -> Answer: ...


def answer(command: bytes, request: bytes, error: Exception, agent: Agent, spool: str) -> Answer:
    """`error` is why the first attempt failed. Returns exit status and standard output."""
    stdin = request.partition(b"\0\0")[2]
    try:
        if command == b"DEL":
            return _delete(request, error, agent, spool)
        if command in (b"ADD", b"CHECK"):
            return _retry(request, error, agent)
    except (OSError, ValueError) as last:
        error = last
    if isinstance(error, ValueError) and " 413 " in str(error):
        return _failure(stdin, 6, f"the network configuration on stdin is larger than the agent takes: {len(stdin)} bytes")
    if command in (b"ADD", b"CHECK", b"DEL", b"GC"):
        return _failure(stdin, 11, f"the agent does not answer: {_told(error)}", "see `podwright doctor`; the runtime may try again")
    if command == b"STATUS":
        return _failure(stdin, 50, f"the agent does not answer: {_told(error)}", "existing pods keep their network")
    return _failure(stdin, 4, f"unknown CNI_COMMAND: {command.decode('utf-8', 'replace')!r}")


def _retry(request: bytes, error: Exception, agent: Agent) -> Answer:
    """Wait only for an agent that is not there. One that took the request and died or hangs may have acted on it."""
    deadline = time.monotonic() + WAIT_S
    while _is_absent(error) and time.monotonic() < deadline:
        time.sleep(POLL_S)
        try:
            connection = agent.connect(1)
        except OSError as again:
            error = again
        else:
            return agent.converse(connection, request)
    raise error


def _delete(request: bytes, error: Exception, agent: Agent, spool: str) -> Answer:
    refusal = _refuse_malformed(request)
    if refusal:
        return refusal
    for attempt in range(3):
        with _locked(spool):
            connection = _connect_or_none(agent) if _may_recover(error) and attempt < 2 else None
            if connection is None:
                _write(spool, request)
                return 0, b""
        try:
            return agent.converse(connection, request)
        except (OSError, ValueError) as again:
            error = again
    raise error


def _may_recover(error: Exception) -> bool:
    """An agent that hangs, or that answers nonsense, will not do better in the next second."""
    return isinstance(error, OSError) and error.errno != errno.EAGAIN


def _connect_or_none(agent: Agent) -> Any:
    """One second: an agent that waits for our lock has a backlog that may be full."""
    try:
        return agent.connect(1)
    except OSError:
        return None


def _is_absent(error: Exception) -> bool:
    return isinstance(error, (FileNotFoundError, ConnectionRefusedError))


@contextlib.contextmanager
def _locked(spool: str) -> Iterator[None]:
    os.makedirs(spool, mode=0o700, exist_ok=True)
    lock = os.open(os.path.join(spool, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_S)
        yield
    finally:
        os.close(lock)


def _write(spool: str, request: bytes) -> None:
    """The entry is the request, with what identifies the namespace today in front. A name appears only when it is whole."""
    name = os.path.join(spool, f"{time.time_ns():020d}-{os.getpid()}")
    entry = os.open(f"{name}.tmp", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(entry, "wb") as file:
            file.write(_origin(request) + request)
            file.flush()
            os.fsync(entry)
        os.rename(f"{name}.tmp", f"{name}.del")
    except OSError:
        os.unlink(f"{name}.tmp")
        raise
    for directory in (spool, os.path.dirname(spool)):
        _sync_directory(directory)


def _sync_directory(path: str) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _origin(request: bytes) -> bytes:
    with open("/proc/sys/kernel/random/boot_id", "rb") as file:
        boot = file.read().strip()
    try:
        inode = os.stat(_environment(request).get(b"CNI_NETNS", b"")).st_ino
    except (OSError, ValueError):
        inode = 0
    return b"PODWRIGHT_BOOT_ID=%s\0PODWRIGHT_NETNS_INODE=%d\0" % (boot, inode)


def _environment(request: bytes) -> dict[bytes, bytes]:
    entries = (entry.partition(b"=") for entry in request.partition(b"\0\0")[0].split(b"\0"))
    return {name: value for name, _, value in entries}


def _refuse_malformed(request: bytes) -> Answer | None:
    """The spool holds nothing that could never be drained."""
    given, stdin = _environment(request), request.partition(b"\0\0")[2]
    missing = [name for name in ("CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH") if not given.get(name.encode())]
    if missing:
        return _failure(stdin, 4, f"required env variables [{','.join(missing)}] missing")
    config = _config(stdin)
    if config is None:
        return _failure(stdin, 6, "cannot decode the network configuration on stdin")
    if not config.get("name"):
        return _failure(stdin, 7, "missing network name", 'set "name" in the network configuration')
    return None


def _config(stdin: bytes) -> dict[str, Any] | None:
    try:
        config = json.loads(stdin)
    except (ValueError, RecursionError):
        return None
    return config if isinstance(config, dict) else None


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return "it hangs" if error.errno == errno.EAGAIN else os.strerror(error.errno).lower()
    return str(error)


def _failure(stdin: bytes, code: int, message: str, details: str = "") -> Answer:
    version = (_config(stdin) or {}).get("cniVersion") or NEWEST
    wire = {"cniVersion": version, "code": code, "msg": message} | ({"details": details} if details else {})
    return 1, json.dumps(wire, indent=4).encode() + b"\n"
