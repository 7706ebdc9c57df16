"""What one pod costs the kernel, read as the commands a person would type."""

import pytest

from agent.config import Mode
from agent.network import datapath
from agent.network.node import GATEWAY_MAC, mac_of
from agent.objects.attachment import AttachmentKey

from .conftest import attachment, node


def printed(mode: Mode, *addresses: str) -> list[str]:
    bridge_index = 7 if mode is Mode.BRIDGE else 0
    return str(datapath.attach(node(mode), attachment(*addresses), netns_fd=3, bridge_index=bridge_index)).splitlines()


def test_a_pod_on_the_bridge():
    assert printed(Mode.BRIDGE, "10.73.0.5") == [
        "ip link add pwv2967ffa82230 index 1048576 address ee:19:f2:36:61:fb mtu 1500 master 7 "
        "type veth peer eth0 index 1048577 address 0a:58:0a:49:00:05 netns POD",
        "ip link set index 1048576 ipv4.send_redirects=0 ipv4.accept_redirects=0 ipv4.route_localnet=1 addrgenmode none "
        "type bridge_slave hairpin on learning off flood off mcast_flood off bcast_flood off",
        "ip link set index 1048576 up",
        "bridge fdb replace 0a:58:0a:49:00:05 dev index 1048576 master static",
        "ip neighbour replace 10.73.0.5 lladdr 0a:58:0a:49:00:05 dev index 7 nud permanent",
        "ip route replace 10.73.0.5/32 dev index 7 proto 112 src 10.73.0.1",
        "netns POD: sysctl -w net/ipv4/conf/all/accept_redirects=0",
        "netns POD: ip link set index 1048577 ipv4.accept_redirects=0",
        "netns POD: ip link set index 1048577 up",
        "netns POD: ip address replace 10.73.0.5/32 dev index 1048577 nodad",
        "netns POD: ip neighbour replace 10.73.0.1 lladdr ee:ee:ee:ee:ee:ee dev index 1048577 nud permanent",
        "netns POD: ip route replace 10.73.0.1/32 dev index 1048577 proto 112",
        "netns POD: ip route replace 0.0.0.0/0 via 10.73.0.1 dev index 1048577 proto 112",
        "ip link set index 1048576 alias 'podwright 2967ffa82230af61b80c pod demo/pod-c1'",
        "ip link show index 1048576",
        "ip link show index 7",
    ]


def test_a_routed_pod_has_a_host_route_and_the_same_gateway_as_every_other():
    lines = printed(Mode.ROUTED, "10.73.0.5", "fd73::5")
    assert "ip route replace 10.73.0.5/32 dev index 1048576 proto 112 src 10.73.0.1" in lines
    assert "ip route replace fd73::5/128 dev index 1048576 proto 112 src fd73::1" in lines
    assert "netns POD: ip route replace 0.0.0.0/0 via 169.254.1.1 dev index 1048577 proto 112" in lines
    assert "netns POD: ip route replace ::/0 via fe80::1 dev index 1048577 proto 112" in lines
    assert not any("master" in line or "bridge" in line for line in lines)


def test_the_link_goes_up_after_its_settings_and_before_its_routes(mode):
    lines = [line for line in printed(mode, "10.73.0.5", "fd73::5") if not line.startswith(("netns", "ip link show"))]
    order = [line.split(" ", 5) for line in lines]
    verbs = [" ".join(words[1:3]) + (" up" if words[-1] == "up" else "") for words in order]
    up = verbs.index("link set up")
    assert verbs.index("link add") < verbs.index("link set") < up
    assert all(verb.startswith(("neighbour", "route", "fdb")) for verb in verbs[up + 1 : -1])


def test_a_link_is_named_after_its_owner_when_everything_else_is_done(mode):
    naming = [" alias " in line for line in printed(mode, "10.73.0.5", "fd73::5") if not line.startswith("ip link show")]
    assert naming.index(True) == len(naming) - 1


def test_ipv6_settings_are_written_only_for_pods_that_have_ipv6(mode):
    assert not any("ipv6" in line for line in printed(mode, "10.73.0.5"))
    assert "netns POD: sysctl -w net/ipv6/conf/eth0/accept_ra=0" in printed(mode, "fd73::5")


def test_names_fit_the_kernel_and_are_recognised():
    made = attachment("10.73.0.5")
    assert len(datapath.host_ifname(AttachmentKey("n" * 200, "c" * 200, "eth0"))) == 15
    assert datapath.attachment_of_alias(datapath.alias(made)) == made.metadata.name
    assert datapath.attachment_of_alias("") is None
    assert datapath.attachment_of_alias("uplink to rack 4") is None


def test_a_pods_mac_is_its_ipv4_address_else_a_hash_of_its_ipv6_one():
    assert mac_of(attachment("10.73.0.5", "fd73::5").addresses) == "0a:58:0a:49:00:05"
    only_v6 = mac_of(attachment("fd73::5").addresses)
    assert only_v6.startswith("0a:58:")
    assert only_v6 != mac_of(attachment("fd73::6").addresses)


def test_detach_forgets_the_bridges_routes_and_neighbours():
    made = attachment("10.73.0.5", "fd73::5")
    assert [str(r) for r in datapath.detach(made, 7)] == [
        "ip route del 10.73.0.5/32 dev index 7",
        "ip route del fd73::5/128 dev index 7",
        "ip neighbour del 10.73.0.5 dev index 7",
        "ip neighbour del fd73::5 dev index 7",
    ]
    assert datapath.detach(made) == ()


@pytest.mark.parametrize("mode", list(Mode))
def test_an_address_that_no_pod_has_is_unreachable(mode):
    """And nobody is asked for it, as there is no route to the range as a whole."""
    requests = datapath.bridge_addresses(node(mode), 7) if mode is Mode.BRIDGE else datapath.routed_requests(node(mode))
    lines = [str(request) for request in requests]
    assert lines[-4:] == [
        f"ip address replace 10.73.0.1/32 dev index {7 if mode is Mode.BRIDGE else 1} nodad",
        f"ip address replace fd73::1/128 dev index {7 if mode is Mode.BRIDGE else 1} nodad",
        "ip route replace unreachable 10.73.0.0/20 metric 4000000000 proto 112",
        "ip route replace unreachable fd73::/64 metric 4000000000 proto 112",
    ]


def test_a_bridge_is_given_its_mac_only_where_it_has_another():
    """The kernel would forget the bridge's neighbours, all pods, for the sake of a change that is none."""
    assert not any("address ee:" in str(request) for request in datapath.bridge_addresses(node(Mode.BRIDGE), 7, GATEWAY_MAC))
    assert any("address ee:" in str(request) for request in datapath.bridge_addresses(node(Mode.BRIDGE), 7, "0a:58:0a:49:00:01"))
