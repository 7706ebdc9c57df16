"""What nftables holds of ours, comparable; and when who commits."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from agent.kernel.netlink import NETLINK_NETFILTER, NetlinkListener, Reply, attribute_map
from agent.kernel.nft import wire
from agent.kernel.nft.wire import Msg
from tests.fresh import shell

_NFNLGRP_NFTABLES = 7


def ours() -> list[str]:
    """Everything in tables named podwright, without handles and in an order of its own: equal when it does the same."""
    found = [entry for entry in json.loads(shell("nft -j list ruleset"))["nftables"] if _is_ours(entry)]
    return [json.dumps(_plain(entry), sort_keys=True) for entry in sorted(found, key=_place)]


def _place(entry: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    """Rules of one chain stay in their order."""
    (kind, content), *_ = entry.items()
    return content["family"], kind, str(content.get("chain", content.get("name")))


def _is_ours(entry: dict[str, dict[str, Any]]) -> bool:
    (kind, content), *_ = entry.items()
    return content.get("name" if kind == "table" else "table") == "podwright"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _plain(content) for key, content in value.items() if key != "handle"}
        if isinstance(kept.get("elem"), list):
            kept["elem"].sort(key=json.dumps)
        return kept
    return [_plain(each) for each in value] if isinstance(value, list) else value


class Commit(NamedTuple):
    at_s: float
    program: str


@contextmanager
def commits() -> Iterator[list[Commit]]:
    """Every nftables transaction on the node while the block lasts, as it is announced."""
    found: list[Commit] = []

    def hear(reply: Reply) -> None:
        if reply.kind == Msg.NEWGEN.kind:
            program = attribute_map(reply.payload[4:])[wire.GEN_PROC_NAME].rstrip(b"\0").decode()
            found.append(Commit(time.monotonic(), program))

    listener = NetlinkListener(NETLINK_NETFILTER, [_NFNLGRP_NFTABLES])
    threading.Thread(target=listener.run, args=(hear, lambda: None), daemon=True).start()
    try:
        yield found
    finally:
        listener.close()
