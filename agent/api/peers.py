"""Who is at the other end of the socket, and what they may do.

The kernel records a peer's credentials when it connects: SO_PEERCRED (pid, uid, gid) and SO_PEERGROUPS (the
supplementary groups the process really has, so no name service is asked while a client waits; a user added to a
group must log in again, as everywhere). The socket itself can be connected to by everybody: a refusal then says
why, which a permission bit on the file could not.
"""

from __future__ import annotations

import array
import grp
import os
import socket
import struct
from dataclasses import dataclass
from enum import IntEnum

from loguru import logger

from agent.errors import Forbidden

_SO_PEERGROUPS = 59
_UCRED = struct.Struct("=iII")
_MAX_GROUPS = 65536  # NGROUPS_MAX


class Access(IntEnum):
    """What a route needs, and what a peer has: each level includes the ones below."""

    NONE = 0
    READ = 1
    WRITE = 2


@dataclass(frozen=True, slots=True)
class Peer:
    pid: int
    uid: int
    groups: frozenset[int]


def peer_of(connection: socket.socket) -> Peer:
    pid, uid, gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(pid, uid, frozenset((gid, *_supplementary_groups(connection))))


def _supplementary_groups(connection: socket.socket) -> array.array[int]:
    for room in (64, _MAX_GROUPS):
        try:
            raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, room * 4)
        except OSError:  # ERANGE: more groups than room; ENOPROTOOPT: none are known for this peer
            continue
        return array.array("I", raw)
    return array.array("I")


@dataclass(frozen=True, slots=True)
class Gate:
    """Owners may do everything, members of the group may read, others nothing."""

    group: str
    group_id: int | None
    owners: frozenset[int]

    def access(self, peer: Peer) -> Access:
        if peer.uid in self.owners:
            return Access.WRITE
        return Access.READ if self.group_id in peer.groups else Access.NONE

    def check(self, peer: Peer, needed: Access) -> None:
        """Raises Forbidden with the way to be allowed."""
        granted = self.access(peer)
        if granted >= needed:
            return
        if granted is Access.READ:
            raise Forbidden(f"uid {peer.uid} may read but not change: only root may", hint="run the command with sudo")
        raise Forbidden(
            f"uid {peer.uid} may not talk to the agent: it is neither root nor in group {self.group}",
            hint=f"run the command with sudo, or join the group to read: usermod -aG {self.group} USER, then log in again",
        )


def gate_for(group: str) -> Gate:
    """The gate of a running agent: root and the agent's own user own it; a group that does not exist has no members."""
    try:
        group_id = grp.getgrnam(group).gr_gid
    except KeyError:
        logger.info("group {} does not exist: only root can use the socket", group)
        group_id = None
    return Gate(group, group_id, frozenset({0, os.geteuid()}))
