"""The firewall as text: what the node has, and what a pod adds."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import msgspec
import pytest

from agent.config import Mode
from agent.network import firewall
from agent.network.firewall.antispoof import link_local
from agent.network.node import Foreign, NodeNetwork
from agent.objects.attachment import Bandwidth, PortMapping, Protocol
from tests.unit.network_firewall.pods import node, pod


def rules(network: NodeNetwork, family: str, chain: str) -> list[str]:
    """A chain's lines in the printed skeleton."""
    (found,) = [c for c in firewall.skeleton(network).chains if c.name == chain and str(c.table.family) == family]
    return list(found.body())


def test_a_bridged_pod_is_judged_by_its_port() -> None:
    assert rules(node(Mode.BRIDGE), "bridge", "prerouting") == [
        "type filter hook prerouting priority -300; policy accept;",
        'iifname "pwv*" goto antispoof',
    ]


def test_a_routed_pod_is_judged_by_its_device() -> None:
    (chain,) = firewall.device_chains(node(Mode.ROUTED), pod(2))
    assert str(chain) == "netdev podwright pwv2"
    assert list(chain.body()) == ['type filter hook ingress device "pwv2" priority -500; policy drop;', "goto antispoof"]


def test_a_bridged_pod_needs_no_chain_of_its_own() -> None:
    assert firewall.device_chains(node(Mode.BRIDGE), pod(2)) == ()


@pytest.mark.parametrize(("mode", "family"), [(Mode.BRIDGE, "bridge"), (Mode.ROUTED, "netdev")])
def test_who_may_send_what(mode: Mode, family: str) -> None:
    assert rules(node(mode), family, "antispoof") == [
        "ether type ip meta pkttype { broadcast, multicast } drop",
        "ether type ip iifname . ether saddr . ip saddr @senders4 meta mark set 0x00000080 accept",
        "ether type arp arp htype 1 arp ptype ip iifname . ether saddr . arp saddr ip @senders4"
        " iifname . arp saddr ether . arp saddr ip @senders4 accept",
        "ether type ip6 icmpv6 type { nd-router-advert, nd-redirect } drop",
        "ether type ip6 icmpv6 type nd-neighbor-advert iifname . ether saddr . @th,64,128 != @targets6 drop",
        "ether type ip6 ip6 saddr :: icmpv6 type nd-neighbor-solicit"
        " iifname . ether saddr . @th,64,128 @targets6 meta mark set 0x00000080 accept",
        "ether type ip6 icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }"
        " iifname . ether saddr . ip6 saddr @senders6 meta mark set 0x00000080 accept",
        "ether type ip6 meta pkttype { broadcast, multicast } drop",
        "ether type ip6 iifname . ether saddr . ip6 saddr @senders6 meta mark set 0x00000080 accept",
        "drop",
    ]


def test_between_ports_only_translated_frames_pass() -> None:
    assert rules(node(Mode.BRIDGE), "bridge", "forward")[1:] == [
        'iifname "pwv*" oifname "pwv*" meta mark & 0x00000040 == 0x00000040 accept',
        'iifname "pwv*" oifname "pwv*" drop',
    ]


@pytest.mark.parametrize(
    ("mode", "entrances"),
    [
        (Mode.BRIDGE, ['iifname "pw0"', 'iifname "pwv*"']),
        (Mode.ROUTED, ['iifname "pwv*"']),
    ],
)
def test_unjudged_packets_of_pods_drop_before_conntrack_and_the_mark_goes_in_the_chain_behind(mode: Mode, entrances: list[str]) -> None:
    assert rules(node(mode), "inet", "early-prerouting")[3:-1] == [
        *(f"{entrance} meta mark & 0x00000080 == 0x00000080 accept" for entrance in entrances),
        *(f"{entrance} drop" for entrance in entrances),
    ]
    assert rules(node(mode), "inet", "unmark") == [
        "type filter hook prerouting priority -309; policy accept;",
        *(f"{entrance} meta mark set meta mark & 0xffffff7f" for entrance in entrances),
    ]


@pytest.mark.parametrize("mode", list(Mode))
def test_the_loopback_on_a_wire_drops_before_it_is_translated(mode: Mode) -> None:
    lines = rules(node(mode), "inet", "early-prerouting")
    assert lines[:3] == ["type filter hook prerouting priority -310; policy accept;", 'iifname "lo" accept', "ip daddr 127.0.0.0/8 drop"]
    assert lines[-1] == "ip saddr 127.0.0.0/8 drop"


def test_host_ports_are_for_local_addresses_only() -> None:
    for chain in ("nat-prerouting", "nat-output"):
        assert rules(node(), "inet", chain)[1:] == ["meta l4proto { tcp, udp, sctp } fib daddr type local jump hostports"]


def test_only_pods_are_masqueraded() -> None:
    masquerading = [line for line in rules(node(), "inet", "nat-postrouting") if "masquerade" in line]
    assert len(masquerading) == 6
    assert all("@pods" in line or "@hairpins" in line or "127.0.0.0/8" in line for line in masquerading)


@pytest.mark.parametrize("families", [(), (4,), (6,), (4, 6)])
def test_foreign_traffic_is_dropped_for_the_families_that_the_agent_turned_forwarding_on_for(families: tuple[int, ...]) -> None:
    drops = [line for line in rules(node(drop_foreign_forward=families), "inet", "forward") if "@foreign_ok" in line]
    assert drops == [
        f'meta nfproto ipv{family} iifname != "pw0" oifname != "pw0" '
        "iifname != @foreign_ok oifname != @foreign_ok iifname . oifname != @bridged drop"
        for family in families
    ]


def test_other_tools_bridges_are_elements_and_an_uplink_bridge_is_one_only_with_itself() -> None:
    foreign = Foreign(frozenset({"virbr0", "docker0"}), frozenset({"br0"}))
    assert [str(element) for element in firewall.foreign_elements(foreign)] == [
        'inet podwright foreign_ok { "docker0" }',
        'inet podwright foreign_ok { "virbr0" }',
        'inet podwright bridged { "br0" . "br0" }',
    ]


@pytest.mark.parametrize("mode", list(Mode))
def test_what_a_limited_pod_sends_is_handed_to_its_shaping_link_after_it_was_judged(mode: Mode) -> None:
    limited = msgspec.structs.replace(pod(2), host_ifindex=100, bandwidth=Bandwidth(egress_rate=10**6))
    *judge, shaper = firewall.device_chains(node(mode), limited)
    assert str(shaper) == "netdev podwright pwi2"
    assert list(shaper.body()) == ['type filter hook ingress device "pwv2" priority -400; policy accept;', 'fwd to "pwi2"']
    assert [str(chain) for chain in judge] == (["netdev podwright pwv2"] if mode is Mode.ROUTED else [])


def test_a_redirect_towards_a_pod_is_the_first_to_drop() -> None:
    for chain in ("forward", "output"):
        assert rules(node(), "inet", chain)[1] == 'oifname "pw0" icmpv6 type nd-redirect drop'


def test_what_a_pod_adds() -> None:
    port = PortMapping(host_port=8080, container_port=80)
    assert [str(element) for element in firewall.elements(node(), pod(2, port))] == [
        'bridge podwright senders4 { "pwv2" . 0a:58:0a:49:00:02 . 10.73.0.2 }',
        'bridge podwright senders6 { "pwv2" . 0a:58:0a:49:00:02 . fd73::2 }',
        'bridge podwright senders6 { "pwv2" . 0a:58:0a:49:00:02 . fe80::858:aff:fe49:2 }',
        'bridge podwright targets6 { "pwv2" . 0a:58:0a:49:00:02 . 0xfd730000000000000000000000000002 }',
        'bridge podwright targets6 { "pwv2" . 0a:58:0a:49:00:02 . 0xfe8000000000000008580afffe490002 }',
        "inet podwright pods4 { 10.73.0.2 }",
        "inet podwright pods6 { fd73::2 }",
        "inet podwright hairpins4 { 10.73.0.2 . 10.73.0.2 }",
        "inet podwright hairpins6 { fd73::2 . fd73::2 }",
        "inet podwright hostports4 { tcp . 8080 : 10.73.0.2 . 80 }",
        "inet podwright hostports6 { tcp . 8080 : fd73::2 . 80 }",
    ]


@pytest.mark.parametrize(
    ("host_ip", "added"),
    [
        ("127.0.0.1", ["inet podwright hostip-ports4 { 127.0.0.1 . udp . 53 : 10.73.0.2 . 5353 }"]),
        ("fd00::1", ["inet podwright hostip-ports6 { fd00::1 . udp . 53 : fd73::2 . 5353 }"]),
        ("0.0.0.0", ["inet podwright hostports4 { udp . 53 : 10.73.0.2 . 5353 }"]),
    ],
)
def test_a_host_ip_is_of_one_family(host_ip: str, added: list[str]) -> None:
    address = IPv6Address(host_ip) if ":" in host_ip else IPv4Address(host_ip)
    port = PortMapping(host_port=53, container_port=5353, protocol=Protocol.UDP, host_ip=address)
    assert [str(e) for e in firewall.elements(node(), pod(2, port)) if "ports" in e.set.name] == added


def test_an_ipv4_pod_may_not_speak_ipv6() -> None:
    attachment = msgspec.structs.replace(pod(2), addresses=(IPv4Address("10.73.0.2"),))
    assert not [element for element in firewall.elements(node(), attachment) if "6" in element.set.name]


def test_non_masquerade_networks_are_disjoint_and_hold_multicast() -> None:
    overlapping = (IPv4Network("10.0.0.0/8"), IPv4Network("10.73.0.0/20"), IPv4Network("192.0.2.1/32"), IPv6Network("fd00::/8"))
    network = NodeNetwork(Mode.BRIDGE, "pw0", (), overlapping, 1500)
    assert [element.text for element in firewall.skeleton(network).elements] == [
        "10.0.0.0/8",
        "192.0.2.1",
        "224.0.0.0/4",
        "fd00::/8",
        "ff00::/8",
    ]


def test_a_pods_link_local_address_is_what_the_kernel_derives() -> None:
    assert link_local("0a:58:0a:49:00:02") == IPv6Address("fe80::858:aff:fe49:2")
