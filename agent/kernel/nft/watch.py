"""What other programs do to tables of ours, from the kernel's announcements.

Each commit is announced object by object, then closed by its generation, which names the program; the commits of our
own socket are dropped by a filter in the kernel. Whoever loses announcements must compare everything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass

from agent.kernel.netlink import NETLINK_NETFILTER, NetlinkListener, Reply, attribute_map
from agent.kernel.nft import wire
from agent.kernel.nft.objects import Table
from agent.kernel.nft.wire import Msg

_NFNLGRP_NFTABLES = 7
_HEADER_BYTES = 4
_TABLE, _NAME = 1, 2
_CHAIN_NAME = 3
_KINDS = {
    Msg.NEWTABLE: "add table",
    Msg.DELTABLE: "delete table",
    Msg.NEWCHAIN: "add chain",
    Msg.DELCHAIN: "delete chain",
    Msg.NEWRULE: "add rule",
    Msg.DELRULE: "delete rule",
    Msg.NEWSET: "add set",
    Msg.DELSET: "delete set",
    Msg.NEWSETELEM: "add element",
    Msg.DELSETELEM: "delete element",
}
_WORDS = {kind.kind: words for kind, words in _KINDS.items()}
_ELEMENTS = frozenset({Msg.NEWSETELEM.kind, Msg.DELSETELEM.kind})
_OTHER = "change object"


@dataclass(frozen=True, slots=True)
class ForeignChange:
    """`what` in nft's words. A change of elements only leaves the table's rules as they were."""

    table: Table
    what: str
    is_of_element: bool

    def __str__(self) -> str:
        return self.what


@dataclass(frozen=True, slots=True)
class ForeignCommit:
    """What one transaction of another program did to the tables that are watched."""

    program: str
    pid: int
    changes: tuple[ForeignChange, ...]


class TableWatch:
    """Subscribed from the moment it is made; `changed` and `lost` are called on a thread of its own after `start`."""

    def __init__(
        self, tables: Collection[Table], *, own_port: int, changed: Callable[[ForeignCommit], None], lost: Callable[[], None]
    ) -> None:
        self._tables = {(int(table.family), table.name): table for table in tables}
        self._changed, self._lost = changed, lost
        self._changes: list[ForeignChange] = []
        self._listener = NetlinkListener(NETLINK_NETFILTER, [_NFNLGRP_NFTABLES])
        self._listener.ignore_requests_of(own_port)
        self._thread = threading.Thread(target=self._listener.run, args=(self._handle, self._lost), name="tables", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._listener.close()

    def _handle(self, reply: Reply) -> None:
        if reply.kind == Msg.NEWGEN.kind:
            if self._changes:
                self._changed(_commit(reply, tuple(self._changes)))
                self._changes.clear()
            return
        found = attribute_map(reply.payload[_HEADER_BYTES:])
        table = self._tables.get((reply.payload[0], _text(found.get(_TABLE, b""))))
        if table is not None:
            self._changes.append(ForeignChange(table, _described(reply.kind, table, found), reply.kind in _ELEMENTS))


def _commit(reply: Reply, changes: tuple[ForeignChange, ...]) -> ForeignCommit:
    found = attribute_map(reply.payload[_HEADER_BYTES:])
    pid = int.from_bytes(found.get(wire.GEN_PROC_PID, b""), "big")
    return ForeignCommit(_text(found.get(wire.GEN_PROC_NAME, b"")) or "unknown", pid, changes)


def _described(kind: int, table: Table, found: dict[int, bytes]) -> str:
    words = _WORDS.get(kind, _OTHER)
    if words.endswith("table"):
        return f"{words} {table}"
    name = found.get(_CHAIN_NAME if words.endswith("chain") else _NAME, b"")
    return f"{words} {table} {_text(name)}"


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")
