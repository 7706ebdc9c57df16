"""What happens to a packet: a rule's last word, and the data of verdict maps."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from agent.kernel.netlink import attr, attribute_map, be32, nested, text
from agent.kernel.nft import wire
from agent.kernel.nft.expression import VERDICT_REGISTER, Scope, expression

_CODES = {"drop": 0, "accept": 1, "continue": -1, "jump": -3, "goto": -4, "return": -5}
_NAMES = {code: name for name, code in _CODES.items()}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`chain` only for jump and goto."""

    name: str
    chain: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.chain}" if self.chain else self.name

    @property
    def data(self) -> bytes:
        """NFTA_DATA_VERDICT."""
        code = attr(wire.VERDICT_CODE, struct.pack(">i", _CODES[self.name]))
        return nested(wire.DATA_VERDICT, code + text(wire.VERDICT_CHAIN, self.chain) if self.chain else code)

    def encode(self, scope: Scope) -> Iterator[bytes]:
        yield expression("immediate", be32(1, VERDICT_REGISTER), nested(2, self.data))


def decode_verdict(payload: bytes) -> Verdict:
    """The content of NFTA_DATA_VERDICT."""
    found = attribute_map(payload)
    (code,) = struct.unpack(">i", found[wire.VERDICT_CODE])
    return Verdict(_NAMES[code], found.get(wire.VERDICT_CHAIN, b"").rstrip(b"\0").decode())


ACCEPT, DROP, RETURN, CONTINUE = (Verdict(name) for name in ("accept", "drop", "return", "continue"))


def jump(chain: str) -> Verdict:
    return Verdict("jump", chain)


def goto(chain: str) -> Verdict:
    return Verdict("goto", chain)
