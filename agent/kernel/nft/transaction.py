"""One batch as one datagram: BEGIN, a message per command (elements of one set share one), END.

A new kernel has a DESTROY verb that accepts absence; an older one has only DELETE, so the caller has taken out
what is not there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from agent.kernel.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST, be32
from agent.kernel.nft import encode, wire
from agent.kernel.nft.batch import Batch, Command, Verb
from agent.kernel.nft.encode import Message
from agent.kernel.nft.objects import Chain, Element, Set, Table
from agent.kernel.nft.wire import Msg

_SHOWN = 4
_HEADER = struct.Struct("=IHHII")
_END = wire.nfgenmsg(0, wire.SUBSYSTEM)
_DESTROY = {Table: Msg.DESTROYTABLE, Chain: Msg.DESTROYCHAIN, Set: Msg.DESTROYSET, Element: Msg.DESTROYSETELEM}
_DELETE = {Table: Msg.DELTABLE, Chain: Msg.DELCHAIN, Set: Msg.DELSET, Element: Msg.DELSETELEM}


@dataclass(frozen=True, slots=True)
class Dialect:
    """What this kernel understands."""

    table_flags: int = 0
    has_destroy: bool = True


def messages(batch: Batch, dialect: Dialect) -> list[Message]:
    numbers = encode.set_numbers()
    removal = _DESTROY if dialect.has_destroy else _DELETE
    found: list[Message] = []
    for (verb, group), commands in groupby(batch.commands, key=_group):
        if isinstance(group, Set):
            kind = Msg.NEWSETELEM if verb is Verb.ADD else removal[Element]
            found += encode.element_messages(kind, group, [c.subject for c in commands if isinstance(c.subject, Element)])
        else:
            for command in commands:
                found += _message(command, numbers, dialect, removal)
    return found


def _group(command: Command) -> tuple[Verb, Set | None]:
    subject = command.subject
    return command.verb, subject.set if isinstance(subject, Element) else None


def _message(command: Command, numbers: Iterator[int], dialect: Dialect, removal: dict[type, Msg]) -> Iterator[Message]:
    subject = command.subject
    assert not isinstance(subject, Element)
    if command.verb is Verb.DESTROY:
        yield encode.removal_message(subject, kind=removal[type(subject)])
    elif isinstance(subject, Table):
        yield encode.table_message(subject, dialect.table_flags)
    elif isinstance(subject, Set):
        yield encode.set_message(subject, next(numbers))
    elif command.verb is Verb.FLUSH:
        yield encode.flush_message(subject)
    elif command.rule is not None:
        yield from encode.rule_messages(subject, command.rule, numbers)
    else:
        yield encode.chain_message(subject)


def describe(part: Message) -> str:
    """The nft command behind a message, for errors."""
    subject = part.subject
    verb = Verb.ADD if part.flags & NLM_F_CREATE else Verb.DESTROY
    if isinstance(subject, tuple) and isinstance(subject[0], Element):
        shown = ", ".join(element.text for element in subject[:_SHOWN])
        return f"nft {verb} element {subject[0].set} {{ {shown}{', …' if len(subject) > _SHOWN else ''} }}"
    if isinstance(subject, tuple):
        return f"nft {Command(Verb.ADD_RULE, *subject)}"
    if part.kind == Msg.DELRULE.kind:
        verb = Verb.FLUSH
    return f"nft {Command(verb, subject)}"


def datagram(parts: Sequence[Message], first: int, generation: int | None = None) -> bytes:
    """Sequence numbers from `first` (BEGIN's); the last message before END asks for the one ACK."""
    begin = _END if generation is None else _END + be32(wire.BATCH_GENID, generation)
    pieces = [_HEADER.pack(16 + len(begin), wire.BATCH_BEGIN, NLM_F_REQUEST, first, 0), begin]
    last = first + len(parts)
    for sequence, part in enumerate(parts, first + 1):
        flags = part.flags | NLM_F_REQUEST | (NLM_F_ACK if sequence == last else 0)
        body = part.body
        pieces += (_HEADER.pack(16 + len(body), part.kind, flags, sequence, 0), body)
    pieces += (_HEADER.pack(20, wire.BATCH_END, NLM_F_REQUEST, last + 1, 0), _END)
    return b"".join(pieces)
