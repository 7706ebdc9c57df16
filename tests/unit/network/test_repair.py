"""What a start requests so that the node finds its pods: nothing where all is well, and only what is missing elsewhere."""

from msgspec.structs import replace as changed

from agent.config import Mode
from agent.kernel.link import Link
from agent.kernel.neigh import Forwarding, Neighbour
from agent.kernel.route import RTPROT_PODWRIGHT, Route
from agent.network import datapath, repair
from agent.network.repair import Seen

from .conftest import attachment, node

BRIDGE = 7


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


def link_of(made, *, master, is_up=True) -> Link:
    return Link(made.host_ifindex, made.host_ifname, "veth", "", 1500, master, is_up, datapath.alias(made), made.host_ifindex + 1)


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
