"""Filters as the kernel runs them: a small interpreter of the four instructions that are used."""

from __future__ import annotations

import struct

import pytest

from agent.kernel import bpf

LOAD_WORD, LOAD_HALF, IF_EQUAL, IF_ANY_BIT, RETURN = 0x20, 0x28, 0x15, 0x45, 0x06
PROGRAM = bpf.program(bpf.half_is(4, 16), bpf.word_has(20, 0x3FF00000))


def is_kept(program: bytes, message: bytes) -> bool:
    code = list(struct.iter_unpack("=HBBI", program))
    position = accumulator = 0
    while True:
        operation, if_true, if_false, operand = code[position]
        position += 1
        if operation == RETURN:
            return operand != 0
        if operation == LOAD_WORD:
            (accumulator,) = struct.unpack_from("!I", message, operand)
        elif operation == LOAD_HALF:
            (accumulator,) = struct.unpack_from("!H", message, operand)
        else:
            holds = {IF_EQUAL: accumulator == operand, IF_ANY_BIT: bool(accumulator & operand)}[operation]
            position += if_true if holds else if_false


def announcement(kind: int, index: int) -> bytes:
    return struct.pack("=IHHII", 32, kind, 0, 0, 0) + struct.pack("=BxHiII", 0, 0, index, 0, 0)


@pytest.mark.parametrize(
    ("kind", "index", "kept"),
    [
        (16, 2, True),
        (16, 0xFFFFF, True),
        (16, 0x100000, False),
        (16, 0x3FFFFFFE, False),
        (17, 0x100000, True),
        (2, 0x100000, True),
    ],
    ids=["other link", "last of others", "first of ours", "last of ours", "ours deleted", "an answer"],
)
def test_only_news_of_our_own_links_are_dropped(kind: int, index: int, kept: bool) -> None:
    assert is_kept(PROGRAM, announcement(kind, index)) is kept


def test_without_tests_everything_is_dropped() -> None:
    assert not is_kept(bpf.program(), b"")


def test_one_test_alone() -> None:
    from_port = bpf.program(bpf.word_is(12, 4711))
    assert not is_kept(from_port, struct.pack("=IHHII", 16, 16, 0, 0, 4711))
    assert is_kept(from_port, struct.pack("=IHHII", 16, 16, 0, 0, 4712))
