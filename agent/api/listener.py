"""The unix socket on disk: claimed so that a client sees either the old agent, or the new one, or none.

The socket is bound under a temporary name, listens, and only then is renamed into place: nobody meets a socket
that refuses, and a stale one left by a crash is replaced in the same step. Whether one is stale only its listener
can tell: connecting to it succeeds while a process listens, and SO_PEERCRED then names that process.
"""

from __future__ import annotations

import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from agent.api.peers import peer_of
from agent.errors import AlreadyExists, InvalidObject

_BACKLOG = 512
_PATH_MAX = 107  # sun_path without its final NUL
MODE = 0o666  # anyone may connect; peers.Gate decides, and can say why


@dataclass(frozen=True, slots=True)
class Claim:
    """A listening socket and the file that leads to it."""

    path: Path
    socket: socket.socket
    inode: int

    def release(self) -> None:
        """Stop listening; the file is removed unless another agent has replaced it."""
        self.socket.close()
        try:
            if self.path.lstat().st_ino == self.inode:
                self.path.unlink()
        except FileNotFoundError:
            pass


def claim(path: Path) -> Claim:
    """Listen at `path`. Raises AlreadyExists when an agent that lives holds it, or the file is no socket."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    if len(os.fsencode(temporary)) > _PATH_MAX:
        raise InvalidObject(f"cannot listen at {path}: a unix socket's path has at most {_PATH_MAX} bytes", hint="choose a shorter runDir")
    path.parent.mkdir(parents=True, exist_ok=True)
    _refuse_if_alive(path)
    temporary.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        listener.bind(os.fspath(temporary))
        temporary.chmod(MODE)
        listener.listen(_BACKLOG)
        inode = temporary.lstat().st_ino
        temporary.rename(path)
    except BaseException:
        listener.close()
        temporary.unlink(missing_ok=True)
        raise
    return Claim(path, listener, inode)


def _refuse_if_alive(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise AlreadyExists(f"cannot listen at {path}: the file exists and is not a socket", hint=f"remove it: rm {path}")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(os.fspath(path))
        except BlockingIOError:  # its backlog is full: busy, therefore alive
            raise AlreadyExists(f"cannot listen at {path}: another agent holds it and is busy") from None
        except OSError:  # nobody listens
            return
        pid = peer_of(probe).pid
    raise AlreadyExists(f"cannot listen at {path}: an agent with pid {pid} holds it", hint=f"stop it first: kill {pid}")
