"""Our encoder against nft(8): the same ruleset through both, each in a fresh namespace, lists the same."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from msgspec import structs

from agent.config import Mode
from agent.kernel import nft
from agent.kernel.nft import ACCEPT, CONTINUE, DROP, RETURN, Chain, Family, Hook, Nft, Ruleset, Set, Table, goto, jump, rule
from agent.kernel.nft import datatypes as dt
from agent.kernel.nft import fields as f
from agent.kernel.nft import statements as do
from agent.kernel.nft.expression import Statement
from agent.kernel.nft.match import concat
from agent.network import firewall
from agent.network.node import Foreign
from agent.objects.attachment import Bandwidth, PortMapping, Protocol
from tests.fresh import in_new_netns, shell
from tests.unit.network_firewall.pods import node, pod

pytestmark = [pytest.mark.kernel, pytest.mark.needs("nft")]

INET, BRIDGE, NETDEV = Table(Family.INET, "t"), Table(Family.BRIDGE, "t"), Table(Family.NETDEV, "t")
DEVICES = ("pwv2", "pwv3")
SHAPER = 1001
"""Index of pwi3: a rule that hands packets over knows its device by number."""


def listed_ours(ruleset: Ruleset) -> str:
    make_devices()
    session = Nft.open(own_tables=False)
    session.commit(nft.put(ruleset))
    session.close()
    return shell("nft -nn list ruleset")


def listed_by_nft(ruleset: Ruleset) -> str:
    make_devices()
    shell("nft -f -", str(ruleset))
    return shell("nft -nn list ruleset")


def make_devices() -> None:
    for name in DEVICES:
        shell(f"ip link add {name} type veth peer name {name}-pod")
    shell(f"ip link add pwi3 index {SHAPER} type ifb")


def assert_same(ruleset: Ruleset) -> None:
    ours, theirs = in_new_netns(listed_ours, ruleset), in_new_netns(listed_by_nft, ruleset)
    assert ours == theirs
    assert ours.count("\n") > len(ruleset.tables)


@pytest.mark.parametrize("mode", list(Mode))
def test_the_whole_firewall(mode: Mode) -> None:
    network = node(mode, drop_foreign_forward=(4, 6))
    skeleton = firewall.skeleton(network).stamped()
    ports = (
        PortMapping(host_port=8080, container_port=80),
        PortMapping(host_port=53, container_port=5353, protocol=Protocol.UDP, host_ip=IPv4Address("127.0.0.1")),
        PortMapping(host_port=99, container_port=99, protocol=Protocol.SCTP, host_ip=IPv6Address("fd00::1")),
    )
    pods = (pod(2, *ports), structs.replace(pod(3), host_ifindex=SHAPER - 1, bandwidth=Bandwidth(egress_rate=10**6)))
    elements = [element for each in pods for element in firewall.elements(network, each)]
    chains = [chain for each in pods for chain in firewall.device_chains(network, each)]
    foreign = firewall.foreign_elements(Foreign(frozenset({"docker0", "virbr0"}), frozenset({"br0"})))
    assert_same(replace(skeleton, elements=(*skeleton.elements, *elements, *foreign), chains=(*skeleton.chains, *chains)))


PODS = Set(INET, "pods", (dt.IPV4,), comment="of this node")
NETWORKS = Set(INET, "networks", (dt.IPV4,), is_interval=True)
MARKS = Set(INET, "marks", (dt.MARK,))
NAMES = Set(INET, "names", (dt.IFNAME,))
LINKS = Set(INET, "links", (dt.IFNAME, dt.ETHER))
PORTS = Set(INET, "ports", (dt.PROTOCOL, dt.SERVICE), (dt.IPV6, dt.SERVICE))
JUDGES = Set(INET, "judges", (dt.IPV6, dt.MARK), nft.VERDICT)
FLOWS = Set(INET, "flows", (dt.IPV4, dt.IPV4, dt.PROTOCOL, dt.SERVICE), nft.VERDICT, is_interval=True)
SETS = (PODS, NETWORKS, MARKS, NAMES, LINKS, PORTS, JUDGES, FLOWS)

TARGET = Chain(INET, "target", (rule(DROP, comment="the end"),))

STATEMENTS: list[tuple[Statement, ...]] = [
    (f.iifname.is_("pwv*"), DROP),
    (f.iifname.is_("pwv2"), f.oifname.is_not("lo"), DROP),
    (f.iifname.is_not("pwv*"), ACCEPT),
    (f.protocol.is_("ip6"), DROP),
    (f.nfproto.is_("ipv6"), f.saddr(6).is_(IPv6Network("fd00::/9")), DROP),
    (f.saddr(4).is_(IPv4Address("10.0.0.1")), DROP),
    (f.daddr(4).is_not(IPv4Network("10.0.0.0/13")), DROP),
    (f.daddr(4).is_(IPv4Network("127.0.0.0/8")), f.ct_status.lacks("dnat"), DROP),
    (f.saddr(6).is_(IPv6Address("::")), f.icmpv6_type.is_("nd-neighbor-solicit"), DROP),
    (f.icmpv6_type.in_(("nd-router-advert", "nd-redirect")), DROP),
    (f.icmp_type.is_("echo-request"), ACCEPT),
    (f.l4proto.is_("tcp"), f.dport.is_(80), DROP),
    (f.l4proto.is_("udp"), f.sport.is_not(53), DROP),
    (f.l4proto.in_(("tcp", "udp", "sctp")), f.dport.in_((80, 443)), ACCEPT),
    (f.l4proto.is_("tcp"), f.dport.in_((80, dt.Range(8000, 8100))), ACCEPT),
    (f.saddr(4).in_(PODS), f.daddr(4).not_in(NETWORKS), DROP),
    (f.saddr(4).in_((IPv4Network("10.0.0.0/8"), IPv4Address("192.0.2.1"))), DROP),
    (f.mark.in_(MARKS), f.iifname.not_in(NAMES), DROP),
    (concat(f.iifname, f.ether_saddr).in_(LINKS), ACCEPT),
    (f.ether_type.is_("ip"), f.ether_daddr.is_("0a:58:0a:49:00:02"), DROP),
    (f.mark.masked(0x80, 0x80), DROP),
    (f.mark.is_(7), DROP),
    (do.set_mark(0x80), ACCEPT),
    (do.add_mark(0x40),),
    (do.clear_mark(0x80),),
    (do.set_ct_mark(5),),
    (f.ct_state.has("established", "related"), ACCEPT),
    (f.ct_state.has("invalid"), DROP),
    (f.ct_status.has("dnat"), ACCEPT),
    (f.ct_direction.is_("reply"), ACCEPT),
    (f.ct_mark.is_(5), ACCEPT),
    (f.nfproto.is_("ipv4"), f.ct_address(4, "original", "saddr").is_(IPv4Address("10.0.0.1")), DROP),
    (f.nfproto.is_("ipv6"), f.ct_address(6, "reply", "daddr").is_(IPv6Address("fd00::1")), DROP),
    (
        f.nfproto.is_("ipv4"),
        f.l4proto.in_(("tcp", "udp")),
        concat(f.ct_address(4, "original", "saddr"), f.ct_address(4, "reply", "saddr"), f.ct_protocol, f.ct_port("reply", "src")).vmap(
            FLOWS
        ),
    ),
    (concat(f.saddr(6), f.mark).vmap(JUDGES),),
    (f.saddr(4).vmap({IPv4Address("10.0.0.1"): ACCEPT, IPv4Address("10.0.0.2"): jump("target")}),),
    (f.fib_daddr_type.is_("local"), ACCEPT),
    (do.COUNTER, DROP),
    (do.log(5), DROP),
    (do.log(5, "denied: "), DROP),
    (do.limit(10, "minute", 20), ACCEPT),
    (do.REJECT,),
    (f.l4proto.is_("tcp"), do.REJECT_TCP_RESET),
    (jump("target"),),
    (goto("target"),),
    (RETURN,),
    (CONTINUE,),
]


@pytest.mark.parametrize("statements", STATEMENTS, ids=lambda statements: " ".join(map(str, statements)))
def test_one_rule(statements: tuple[Statement, ...]) -> None:
    chain = Chain(INET, "c", (rule(*statements),), Hook("filter", "prerouting" if "fib" in str(statements[0]) else "input", 10))
    assert_same(Ruleset((INET,), SETS, (TARGET, chain)))


@pytest.mark.parametrize(
    "statements",
    [
        (f.l4proto.in_(("tcp", "udp")), do.dnat(6, (f.l4proto, f.dport), PORTS)),
        (f.saddr(4).in_(PODS), do.masquerade()),
        (f.saddr(4).in_(PODS), do.masquerade(fully_random=True)),
    ],
    ids=lambda statements: " ".join(map(str, statements)),
)
def test_one_translation(statements: tuple[Statement, ...]) -> None:
    is_source = "masquerade" in str(statements[-1])
    hook = Hook("nat", "postrouting", 100) if is_source else Hook("nat", "prerouting", -100)
    assert_same(Ruleset((INET,), SETS, (Chain(INET, "c", (rule(*statements),), hook),)))


def test_elements_of_every_kind_of_set() -> None:
    elements = (
        PODS.element(IPv4Address("10.0.0.1")),
        NETWORKS.element(IPv4Network("10.0.0.0/8")),
        NETWORKS.element(IPv4Network("255.0.0.0/8")),
        NETWORKS.element(dt.Range(IPv4Address("192.0.2.1"), IPv4Address("192.0.2.9"))),
        MARKS.element(0x80),
        NAMES.element("docker0"),
        LINKS.element("pwv2", "0a:58:0a:49:00:02"),
        PORTS.element("sctp", 99, data=(IPv6Address("fd00::1"), 99)),
        JUDGES.element(IPv6Address("fd00::1"), 7, data=goto("target")),
        FLOWS.element(IPv4Network("10.0.0.0/8"), IPv4Address("10.0.0.1"), "tcp", dt.Range(80, 90), data=ACCEPT),
        FLOWS.element(IPv4Address("10.0.0.1"), IPv4Network("10.0.0.0/8"), "udp", 53, data=DROP),
    )
    assert_same(Ruleset((INET,), SETS, (TARGET,), elements))


@pytest.mark.parametrize("table", [BRIDGE, NETDEV], ids=str)
def test_layer_two_rules(table: Table) -> None:
    senders = Set(table, "senders", (dt.IFNAME, dt.ETHER, dt.IPV4))
    targets = Set(table, "targets", (dt.IFNAME, dt.ETHER, dt.RAW_IPV6), typeof=(f.iifname, f.ether_saddr, f.nd_target))
    rules = (
        rule(f.ether_type.is_("arp"), concat(f.iifname, f.arp_saddr_ether, f.arp_saddr_ip).in_(senders), ACCEPT),
        rule(
            f.ether_type.is_("ip6"),
            f.icmpv6_type.is_("nd-neighbor-advert"),
            concat(f.iifname, f.ether_saddr, f.nd_target).in_(targets),
            ACCEPT,
        ),
        rule(f.protocol.is_("ip"), f.saddr(4).is_(IPv4Network("10.0.0.0/20")), ACCEPT),
        rule(DROP),
    )
    elements = (
        senders.element("pwv2", "0a:58:0a:49:00:02", IPv4Address("10.73.0.2")),
        targets.element("pwv2", "0a:58:0a:49:00:02", IPv6Address("fd73::2")),
    )
    assert_same(Ruleset((table,), (senders, targets), (Chain(table, "judge", rules),), elements))
