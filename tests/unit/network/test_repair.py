"""What a start requests so that the node finds its pods: nothing where all is well, and only what is missing elsewhere."""

import struct
from dataclasses import replace

import pytest
from msgspec.structs import replace as changed

from agent.config import Mode
from agent.kernel import link, netlink
from agent.kernel.link import Link
from agent.kernel.neigh import Forwarding, Neighbour
from agent.kernel.route import RTPROT_PODWRIGHT, Address, Route
from agent.network import datapath, repair
from agent.network.node import GATEWAY_MAC
from agent.network.repair import Seen

from .conftest import attachment, node

BRIDGE, UNREACHABLE = 7, 7
IPV4_SETTINGS = {"forwarding": 1, "send_redirects": 6, "route_localnet": 26}
"""include/uapi/linux/ip.h"""


def seen(*attachments, mode, **differences) -> Seen:
    """A kernel in which everything is as wanted, but for `differences`."""
    bridge = BRIDGE if mode is Mode.BRIDGE else 0
    held = [(each, address) for each in attachments for address in each.addresses]
    whole = {
        "links": [link_of(each, master=bridge) for each in attachments],
        "neighbours": [Neighbour(bridge or each.host_ifindex, address, each.mac) for each, address in held],
        "forwarding": [Forwarding(each.host_ifindex, each.mac) for each in attachments if bridge],
        "routes": [
            Route(
                datapath.host_prefix(address),
                bridge or each.host_ifindex,
                None,
                metric=0,
                table=254,
                protocol=RTPROT_PODWRIGHT,
                kind=1,
                source=node(mode).near_address(address),
            )
            for each, address in held
        ],
    }
    return Seen(**{**whole, **differences})


def link_of(made, *, master, is_up=True, port=link.PORT_SETTINGS, **settings) -> Link:
    """As the datapath makes it; `settings`: IPv4 settings of the device that are otherwise."""
    mode = Mode.BRIDGE if master else Mode.ROUTED
    values = [0] * 33
    for name, value in {"forwarding": 1, "route_localnet": 1, **settings}.items():
        values[IPV4_SETTINGS[name] - 1] = value
    families = netlink.nested(2, netlink.attr(1, struct.pack("=33I", *values)))
    mac = datapath.host_mac(node(mode), made.attachment_key)
    index = made.host_ifindex
    return Link(index, made.host_ifname, "veth", mac, 1500, master, is_up, datapath.alias(made), index + 1, port, families)


def requests(mode, kernel, *attachments) -> list[str]:
    return [str(each) for each in repair.plan(node(mode), attachments, kernel, BRIDGE if mode is Mode.BRIDGE else 0)]


def test_nothing_where_all_is_well(mode):
    made = attachment("10.73.0.5", "fd73::5")
    assert requests(mode, seen(made, mode=mode), made) == []


def test_a_port_that_lost_its_bridge_is_made_one_again():
    made = attachment("10.73.0.5")
    alone = seen(made, mode=Mode.BRIDGE, links=[link_of(made, master=0)])
    lines = requests(Mode.BRIDGE, alone, made)
    assert lines[0] == f"ip link set index {made.host_ifindex} master index {BRIDGE}"
    assert "learning off" in lines[1]
    assert any(line.startswith("bridge fdb replace") for line in lines)


def test_a_link_that_was_taken_down_goes_up_and_is_found_again(mode):
    made = attachment("10.73.0.5", "fd73::5")
    down = seen(made, mode=mode, links=[link_of(made, master=BRIDGE if mode is Mode.BRIDGE else 0, is_up=False)])
    assert f"ip link set index {made.host_ifindex} up" in requests(mode, down, made)


def test_only_the_neighbour_that_is_missing_is_added(mode):
    made = attachment("10.73.0.5", "fd73::5")
    whole = seen(made, mode=mode)
    (line,) = requests(mode, seen(made, mode=mode, neighbours=whole.neighbours[:1]), made)
    assert line.startswith("ip neighbour replace fd73::5")


def test_a_missing_route_is_added():
    made = attachment("10.73.0.5", "fd73::5")
    whole = seen(made, mode=Mode.ROUTED)
    assert requests(Mode.ROUTED, seen(made, mode=Mode.ROUTED, routes=whole.routes[1:]), made) == [
        f"ip route replace 10.73.0.5/32 dev index {made.host_ifindex} proto 112 src 10.73.0.1"
    ]


def test_route_and_neighbour_of_a_pod_that_is_gone_are_removed_from_the_bridge():
    made, gone = attachment("10.73.0.5"), attachment("10.73.0.6", container_id="c2", index=0x100002)
    both = seen(made, gone, mode=Mode.BRIDGE)
    assert requests(Mode.BRIDGE, both, made) == [
        f"ip route del 10.73.0.6/32 dev index {BRIDGE}",
        f"ip neighbour del 10.73.0.6 dev index {BRIDGE}",
    ]


def test_a_neighbour_with_another_mac_is_replaced():
    made = attachment("10.73.0.5")
    other = seen(changed(made, mac="0a:58:00:00:00:01"), mode=Mode.BRIDGE)
    lines = requests(Mode.BRIDGE, other, made)
    assert f"ip neighbour replace 10.73.0.5 lladdr {made.mac} dev index {BRIDGE} nud permanent" in lines


def test_a_port_that_learns_or_floods_is_made_a_closed_one_again():
    made = attachment("10.73.0.5")
    open_port = link_of(made, master=BRIDGE, port=link.PORT_SETTINGS[:-8] + netlink.u8(30, 1))
    lines = requests(Mode.BRIDGE, seen(made, mode=Mode.BRIDGE, links=[open_port]), made)
    assert any("bcast_flood off" in line for line in lines)


@pytest.mark.parametrize("setting", [{"forwarding": 0}, {"route_localnet": 0}, {"send_redirects": 1}])
def test_a_device_with_other_settings_is_configured_again(mode, setting):
    made = attachment("10.73.0.5")
    found = link_of(made, master=BRIDGE if mode is Mode.BRIDGE else 0, **setting)
    lines = requests(mode, seen(made, mode=mode, links=[found]), made)
    assert any("ipv4.route_localnet=1" in line and "ipv4.forwarding=1" in line for line in lines)


def test_the_nodes_side_is_whole_only_with_every_gateway_and_an_answer_for_every_range(mode):
    home = BRIDGE if mode is Mode.BRIDGE else 1
    gateways = [Address(gateway, gateway.max_prefixlen, home, 0) for gateway, _ in node(mode).gateways]
    answers = [Route(cidr, 1, None, 1, 254, RTPROT_PODWRIGHT, UNREACHABLE) for cidr in node(mode).pod_cidrs]
    like_port = link_of(attachment("10.73.0.5"), master=1)
    bridge = replace(like_port, index=BRIDGE, name="pw0", kind="bridge", mac=GATEWAY_MAC, alias=datapath.BRIDGE_ALIAS)
    index = BRIDGE if mode is Mode.BRIDGE else 0
    assert repair.is_node_whole(node(mode), Seen([bridge], (), (), answers, gateways), index)
    assert not repair.is_node_whole(node(mode), Seen([bridge], (), (), answers[1:], gateways), index)
    assert not repair.is_node_whole(node(mode), Seen([bridge], (), (), answers, gateways[1:]), index)


@pytest.mark.parametrize("difference", [{"is_up": False}, {"mtu": 1400}, {"mac": "0a:00:00:00:00:01"}, {"alias": ""}, {"kind": "dummy"}])
def test_a_bridge_that_differs_is_not_as_made(difference):
    like_port = link_of(attachment("10.73.0.5"), master=1)
    bridge = replace(like_port, index=BRIDGE, name="pw0", kind="bridge", mac=GATEWAY_MAC, alias=datapath.BRIDGE_ALIAS)
    assert datapath.is_bridge_as_made(node(Mode.BRIDGE), bridge)
    assert not datapath.is_bridge_as_made(node(Mode.BRIDGE), replace(bridge, **difference))
