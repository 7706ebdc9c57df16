"""Echo messages as they go over the wire."""

from __future__ import annotations

import struct

from rig import probes
from rig.pulse import Loss


def test_the_checksum_of_a_request_makes_its_sum_zero() -> None:
    """RFC 1071: the one's complement sum over the message with its checksum is all ones."""
    message = probes.echo_request(4, identifier=0xBEEF, sequence=7)
    total = sum(struct.unpack(f"!{len(message) // 2}H", message))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF


def test_a_reply_is_recognised_behind_an_ip_header_with_options() -> None:
    header = bytes([0x46]) + bytes(23)
    assert probes.echo_reply(4, header + probes.echo_request(4, 300, 65535)) == (300, 65535)
    assert probes.echo_reply(6, probes.echo_request(6, 300, 1)) == (300, 1)


def test_a_loss_belongs_to_the_restart_it_was_sent_in() -> None:
    loss = Loss(asked=10, answered=8, lost=[(100.5, "node → 10.0.0.1"), (200.0, "node → 10.0.0.2")])
    assert loss.between(100.0, 102.0) == ["500 ms in: node → 10.0.0.1"]
    assert loss.between(300.0, 301.0) == []
