"""Which announcements of the kernel make the keeper look."""

import struct

import pytest

from agent.kernel import link, netlink
from agent.kernel.netlink import Reply
from agent.network.keep import is_news

BRIDGE, POD, UPLINK = 7, link.FIRST_CHOSEN_INDEX, 2
NEWLINK, NEWADDR, NEWROUTE, NEWNEIGH, NEWNETCONF = 16, 20, 24, 28, 80


def heard(kind: int, payload: bytes) -> bool:
    return is_news(Reply(kind, 0, 0, payload), BRIDGE)


@pytest.mark.parametrize("kind", [NEWLINK, NEWADDR, NEWNEIGH])
def test_links_addresses_and_neighbours_count_on_our_links_only(kind):
    assert heard(kind, struct.pack("=4xi", POD))
    assert heard(kind, struct.pack("=4xi", BRIDGE))
    assert not heard(kind, struct.pack("=4xi", UPLINK))


def test_the_loopback_counts_for_its_addresses():
    assert heard(NEWADDR, struct.pack("=4xi", 1))
    assert not heard(NEWLINK, struct.pack("=4xi", 1))


def test_routes_count_by_their_maker():
    assert heard(NEWROUTE, bytes((2, 32, 0, 0, 254, 112, 0, 1)) + bytes(4))
    assert not heard(NEWROUTE, bytes((2, 32, 0, 0, 254, 3, 0, 1)) + bytes(4))


def test_settings_count_for_all_devices_not_for_one():
    def of(index: int) -> bytes:
        return bytes((2, 0, 0, 0)) + netlink.attr(1, struct.pack("=i", index))

    assert heard(NEWNETCONF, of(-1))
    assert not heard(NEWNETCONF, of(POD))
