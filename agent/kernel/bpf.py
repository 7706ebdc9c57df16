"""Classic BPF programs for sockets: the kernel drops what nobody wants to be woken for.

A program here is one question, "do all of these tests hold?"; then the message is dropped, else it is kept whole.
A filter loads numbers as if they came from the wire, but netlink's are in the machine's order: operands are turned
round beforehand, which is right for equality and for bits, and is why there is no "less than".
"""

from __future__ import annotations

import socket
import struct
from array import array
from typing import NamedTuple

_SO_ATTACH_FILTER = 26
_LOAD_WORD, _LOAD_HALF, _IF_EQUAL, _IF_ANY_BIT, _RETURN = 0x20, 0x28, 0x15, 0x45, 0x06
_NOTHING, _EVERYTHING = 0, 0xFFFFFFFF
_INSTRUCTION = struct.Struct("=HBBI")


class Test(NamedTuple):
    """Of the number at a byte offset of the message."""

    load: int
    offset: int
    condition: int
    operand: int


def half_is(offset: int, value: int) -> Test:
    return Test(_LOAD_HALF, offset, _IF_EQUAL, _turned("=H", value))


def word_is(offset: int, value: int) -> Test:
    return Test(_LOAD_WORD, offset, _IF_EQUAL, _turned("=I", value))


def word_has(offset: int, bits: int) -> Test:
    """Any of the bits is set."""
    return Test(_LOAD_WORD, offset, _IF_ANY_BIT, _turned("=I", bits))


def program(*tests: Test) -> bytes:
    """A test that fails jumps over what is left of the others, and over the drop."""
    code = b""
    for left, test in zip(reversed(range(len(tests))), tests, strict=True):
        code += _INSTRUCTION.pack(test.load, 0, 0, test.offset) + _INSTRUCTION.pack(test.condition, 0, 2 * left + 1, test.operand)
    return code + _INSTRUCTION.pack(_RETURN, 0, 0, _NOTHING) + _INSTRUCTION.pack(_RETURN, 0, 0, _EVERYTHING)


def drop_where(receiver: socket.socket, *tests: Test) -> None:
    """From now on the socket receives nothing for which all tests hold. Replaces an earlier filter."""
    code = array("B", program(*tests))
    address, size = code.buffer_info()
    receiver.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", size // _INSTRUCTION.size, address))


def _turned(layout: str, value: int) -> int:
    return int.from_bytes(struct.pack(layout, value), "big")
