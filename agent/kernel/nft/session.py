"""The one writer: batches to the kernel, lists from it.

A commit is one sendmsg and, when all went well, one ACK; a refused one leaves nothing behind and names the object.
From kernel 6.9 our tables are OWNER|PERSIST: only this socket may write them, `nft flush ruleset` leaves them
alone, and when the process dies they stay, orphaned, until the next process adopts them by naming them again.
(OWNER without PERSIST would take the table along with the process, so older kernels go without.)
"""

from __future__ import annotations

import errno
import os
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing

from agent.errors import Conflict, KernelError
from agent.kernel.netlink import NETLINK_NETFILTER, NLM_F_DUMP, NLMSG_ERROR, NetlinkSocket, Reply, Request, failure
from agent.kernel.nft import decode, encode, listing, transaction, wire
from agent.kernel.nft.batch import Batch, destroy, put
from agent.kernel.nft.decode import TableState
from agent.kernel.nft.encode import Message
from agent.kernel.nft.listing import ChainState, Members, RuleState, TableContent
from agent.kernel.nft.objects import Element, Set, Table
from agent.kernel.nft.present import Present
from agent.kernel.nft.transaction import Dialect
from agent.kernel.nft.wire import Family, Msg
from agent.killpoint import reach
from agent.metrics import NFT_COMMIT_SECONDS, NFT_COMMITS

_ERESTART = 85
_READINGS = 10
_ABSENT = frozenset({errno.ENOENT})
_ERROR_BUFFER_BYTES = 4 << 20
_SEND_BUFFER_BYTES = 64 << 10
"""Less than any kernel's default."""
_OWNED = wire.TABLE_OWNER | wire.TABLE_PERSIST


class Nft:
    """nf_tables of the network namespace `socket` was made in; may be used from any thread."""

    def __init__(self, socket: NetlinkSocket, *, own_tables: bool = True, dialect: Dialect | None = None) -> None:
        self._socket = socket
        self._writer = threading.RLock()
        self._send_bytes = _SEND_BUFFER_BYTES
        self.dialect = dialect or self._probe(own_tables)
        socket.set_receive_buffer(_ERROR_BUFFER_BYTES)

    @classmethod
    def open(cls, *, own_tables: bool = True) -> Nft:
        return cls(NetlinkSocket(NETLINK_NETFILTER), own_tables=own_tables)

    def close(self) -> None:
        self._socket.close()

    @property
    def port(self) -> int:
        """Whose changes announcements are of."""
        return self._socket.port

    @property
    def owns_tables(self) -> bool:
        return bool(self.dialect.table_flags & wire.TABLE_OWNER)

    def _probe(self, own_tables: bool) -> Dialect:
        table = Table(Family.INET, f"podwright-probe-{os.getpid()}")
        has_destroy = self._accepts(transaction.messages(destroy(table), Dialect()))
        persistent = transaction.messages(put(table) + destroy(table), Dialect(_OWNED, has_destroy))
        return Dialect(_OWNED if own_tables and self._accepts(persistent) else 0, has_destroy)

    def _accepts(self, parts: Sequence[Message]) -> bool:
        try:
            self._transact(parts, None)
        except KernelError as error:
            if error.errno == errno.EPERM:
                raise
            return False
        return True

    def commit(self, batch: Batch, *, generation: int | None = None) -> None:
        """All of it or, with an error, nothing. `generation`: only if nothing changed since (else Conflict)."""
        if not batch:
            return
        reach(f"nft before {batch.title}")
        with self._writer, NFT_COMMIT_SECONDS.time(), NFT_COMMITS.outcome():
            if not self.dialect.has_destroy:
                batch = self._without_absent(batch)
            self._transact(transaction.messages(batch, self.dialect), generation)
        reach(f"nft after {batch.title}")

    def _transact(self, parts: Sequence[Message], generation: int | None) -> None:
        if not parts:
            return

        def data(first: int) -> bytes:
            return self._fitting(transaction.datagram(parts, first, generation))

        with closing(self._socket.exchange(len(parts) + 2, data, "nft transaction")) as answers:
            error = _outcome(answers, parts)
        if error is not None and error.errno == _ERESTART:
            raise Conflict("nftables changed since they were read", hint="read again, then retry")
        if error is not None:
            raise error

    def _fitting(self, data: bytes) -> bytes:
        if len(data) > self._send_bytes:
            self._send_bytes = 2 * len(data)
            self._socket.set_send_buffer(self._send_bytes)
        return data

    def generation(self) -> int:
        (reply, *_) = self._socket.dump(Request(Msg.GETGEN.kind, 0x4, wire.nfgenmsg(0), "nft list generation"))
        return decode.generation(reply.payload)

    def list_tables(self) -> tuple[TableState, ...]:
        return tuple(decode.tables(self._dump(Msg.GETTABLE, wire.nfgenmsg(0), "nft list tables")))

    def list_chains(self, table: Table) -> frozenset[str]:
        replies = self._dump(Msg.GETCHAIN, encode.table_head(table), f"nft list chains {table}")
        return frozenset(decode.names(replies, table, Msg.NEWCHAIN))

    def count_rules(self, table: Table) -> Counter[str]:
        """How many rules each chain holds."""
        replies = self._dump(Msg.GETRULE, encode.table_head(table), f"nft list table {table}")
        return Counter(decode.rule_chains(replies, table))

    def list_sets(self, table: Table) -> frozenset[str]:
        replies = self._dump(Msg.GETSET, encode.table_head(table), f"nft list sets {table}")
        return frozenset(decode.names(replies, table, Msg.NEWSET))

    def list_elements(self, a_set: Set) -> frozenset[Element]:
        """Empty when there is no such set. Read until two readings agree: a hash set that the kernel is still growing, in
        the background after a large batch, is walked with gaps, and no flag tells of it."""
        found = self._read_elements(a_set)
        for _ in range(_READINGS):
            before, found = found, self._read_elements(a_set)
            if found == before:
                break
        return found

    def _read_elements(self, a_set: Set) -> frozenset[Element]:
        replies = self._dump(Msg.GETSETELEM, encode.set_head(a_set), f"nft list set {a_set}")
        return frozenset(decode.elements(replies, a_set))

    def list_every_chain(self) -> tuple[ChainState, ...]:
        """Of every table, with hook and policy."""
        return tuple(listing.chains(self._dump(Msg.GETCHAIN, wire.nfgenmsg(0), "nft list chains")))

    def list_content(self, table: Table) -> TableContent:
        """Whatever made it. Empty when there is no such table."""
        head = encode.table_head(table)
        chains = tuple(chain for chain in self.list_every_chain() if chain.table == table)
        found = tuple(listing.rules(self._dump(Msg.GETRULE, head, f"nft list table {table}"), table))
        return TableContent(table, chains, listing.by_chain(found), self._list_members(table, found))

    def _list_members(self, table: Table, rules: Iterable[RuleState]) -> dict[str, Members]:
        intervals = listing.interval_sets(self._dump(Msg.GETSET, encode.table_head(table), f"nft list sets {table}"), table)
        found = {}
        for name in listing.looked_up(rules):
            replies = self._dump(Msg.GETSETELEM, encode.named_set_head(table, name), f"nft list set {table} {name}")
            found[name] = Members(name in intervals, tuple(listing.members(replies)))
        return found

    def _dump(self, kind: Msg, body: bytes, words: str) -> list[Reply]:
        return self._socket.dump(Request(kind.kind, NLM_F_DUMP, body, words, _ABSENT))

    def is_ours(self, state: TableState) -> bool:
        return state.owner == self._socket.port

    def _without_absent(self, batch: Batch) -> Batch:
        """For kernels that refuse to delete what is not there."""
        return Present(self).without_absent(batch)


def _outcome(answers: Iterable[tuple[int, Reply]], parts: Sequence[Message]) -> KernelError | None:
    """The first error. An answer to the last message is the end, and so is one to BEGIN: it speaks for the whole."""
    first: KernelError | None = None
    try:
        for position, reply in answers:
            if reply.kind == NLMSG_ERROR and position <= len(parts):
                first = first or _failure(reply, parts[max(position - 1, 0)])
                if position in (0, len(parts)):
                    break
    except OSError as error:
        # Success is a single ACK: only a refused batch says more than the buffer holds.
        if error.errno != errno.ENOBUFS:
            raise
        return first or KernelError(errno.ENOBUFS, transaction.describe(parts[0]), "more errors than the socket could hold")
    return first


def _failure(reply: Reply, part: Message) -> KernelError | None:
    """The text is made for an error only: an ACK is the hot path."""
    return failure(reply, transaction.describe(part)) if any(reply.payload[:4]) else None
