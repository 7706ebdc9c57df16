"""Promises that meet a quarantine: they wait for its end, and for nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import pytest

from agent.errors import Exhausted, Unavailable
from agent.network import leases
from agent.network.leases import Leases
from agent.network.request import AttachRequest
from agent.objects.attachment import Attachment, AttachmentKey, NetnsIdentity
from agent.objects.meta import IPAddress, ObjectMeta

ONE = [ip_network("10.0.0.0/30")]
"""A range of one address: .1 is the gateway."""


def request(container: str, *addresses: str) -> AttachRequest:
    return AttachRequest(AttachmentKey("pods", container, "eth0"), "/run/netns/x", addresses=tuple(map(ip_address, addresses)))


def promise(held: Leases, wanted: AttachRequest) -> Attachment:
    def make(addresses: Sequence[IPAddress], index: int) -> Attachment:
        key = wanted.key
        return Attachment(
            metadata=ObjectMeta(name=key.digest),
            network=key.network,
            container_id=key.container_id,
            ifname=key.ifname,
            netns=NetnsIdentity(path="/run/netns/x", inode=1),
            boot_id="b",
            addresses=tuple(addresses),
            mac="0a:58:0a:00:00:02",
            mtu=1500,
            host_ifname="pwv1",
            host_ifindex=index,
        )

    return held.promise(wanted, make)


@pytest.fixture
def quarantined() -> Leases:
    """Its only address was given back a moment ago."""
    held = Leases(ONE, [ip_address("10.0.0.1")])
    held.release(promise(held, request("first")))
    return held


@pytest.mark.parametrize("wanted", [request("second"), request("second", "10.0.0.2")], ids=["any address", "that address"])
def test_a_promise_waits_for_the_end_of_a_quarantine(quarantined: Leases, wanted: AttachRequest) -> None:
    threading.Timer(0.05, lambda: quarantined.end_quarantine(quarantined.take_quarantined())).start()
    assert promise(quarantined, wanted).addresses == (ip_address("10.0.0.2"),)


def test_its_patience_ends(quarantined: Leases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "_PATIENCE_S", 0.01)
    with pytest.raises(Unavailable, match="a moment ago"):
        promise(quarantined, request("second", "10.0.0.2"))
    with pytest.raises(Exhausted):
        promise(quarantined, request("second"))


def test_a_range_that_is_used_up_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "_PATIENCE_S", 3600.0)
    held = Leases(ONE, [ip_address("10.0.0.1")])
    promise(held, request("first"))
    started = time.monotonic()
    with pytest.raises(Exhausted):
        promise(held, request("second"))
    assert time.monotonic() - started < 60
