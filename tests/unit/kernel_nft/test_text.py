"""What rulesets and changes print: nft(8)'s own words."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest

from agent.kernel import nft
from agent.kernel.nft import ACCEPT, DROP, Chain, Element, Family, Hook, Ruleset, Set, Table, jump, rule
from agent.kernel.nft import datatypes as dt
from agent.kernel.nft import fields as f
from agent.kernel.nft import statements as do
from agent.kernel.nft.expression import Statement
from agent.kernel.nft.match import concat

TABLE = Table(Family.INET, "t")
PODS = Set(TABLE, "pods", (dt.IPV4,))
PORTS = Set(TABLE, "ports", (dt.PROTOCOL, dt.SERVICE), (dt.IPV4, dt.SERVICE))
JUDGES = Set(TABLE, "judges", (dt.IPV4, dt.MARK), nft.VERDICT)
NETWORKS = Set(TABLE, "networks", (dt.IPV4,), is_interval=True)
TARGETS = Set(TABLE, "targets", (dt.IFNAME, dt.RAW_IPV6), typeof=(f.iifname, f.nd_target))


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        (f.iifname.is_("pwv*"), 'iifname "pwv*"'),
        (f.oifname.is_not("lo"), 'oifname != "lo"'),
        (f.daddr(4).is_(IPv4Network("127.0.0.0/8")), "ip daddr 127.0.0.0/8"),
        (f.saddr(6).is_(IPv6Address("::")), "ip6 saddr ::"),
        (f.saddr(4).in_(PODS), "ip saddr @pods"),
        (f.saddr(4).not_in(PODS), "ip saddr != @pods"),
        (f.l4proto.in_(("tcp", "udp")), "meta l4proto { tcp, udp }"),
        (f.dport.in_((80, dt.Range(8000, 8100))), "th dport { 80, 8000-8100 }"),
        (concat(f.saddr(4), f.mark).vmap(JUDGES), "ip saddr . meta mark vmap @judges"),
        (
            f.saddr(4).vmap({IPv4Address("10.0.0.1"): ACCEPT, IPv4Address("10.0.0.2"): jump("x")}),
            "ip saddr vmap { 10.0.0.1 : accept, 10.0.0.2 : jump x }",
        ),
        (f.ct_status.has("dnat"), "ct status dnat"),
        (f.ct_status.lacks("dnat"), "ct status & (dnat) == 0"),
        (f.ct_state.has("new", "established"), "ct state new,established"),
        (f.ct_address(6, "original", "saddr").is_(IPv6Address("fd00::1")), "ct original ip6 saddr fd00::1"),
        (f.mark.masked(0x80, 0), "meta mark & 0x00000080 == 0x00000000"),
        (do.set_mark(0x80), "meta mark set 0x00000080"),
        (do.add_mark(0x40), "meta mark set meta mark | 0x00000040"),
        (do.clear_mark(0x80), "meta mark set meta mark & 0xffffff7f"),
        (do.dnat(4, (f.l4proto, f.dport), PORTS), "dnat ip to meta l4proto . th dport map @ports"),
        (do.masquerade(fully_random=True), "masquerade fully-random"),
        (do.log(5, "denied"), 'log prefix "denied" group 5'),
        (do.limit(10, burst=20), "limit rate 10/second burst 20 packets"),
        (do.REJECT, "reject with icmpx type admin-prohibited"),
        (jump("policy"), "jump policy"),
    ],
)
def test_a_statement_reads_as_in_nft(statement: Statement, text: str) -> None:
    assert str(statement) == text


def test_a_ruleset_is_a_file_that_nft_loads() -> None:
    base = Chain(TABLE, "in", (rule(f.iifname.is_("lo"), ACCEPT), rule(DROP, comment="the rest")), Hook("filter", "input", 0))
    ruleset = Ruleset((TABLE,), (PODS, NETWORKS, TARGETS), (base,), (PODS.element(IPv4Address("10.0.0.1")),))
    assert str(ruleset) == (
        "table inet t {\n"
        "\tset pods {\n\t\ttype ipv4_addr\n\t\telements = { 10.0.0.1 }\n\t}\n"
        "\tset networks {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t}\n"
        "\tset targets {\n\t\ttypeof iifname . @th,64,128\n\t}\n"
        "\tchain in {\n\t\ttype filter hook input priority 0; policy accept;\n"
        '\t\tiifname "lo" accept\n\t\tdrop comment "the rest"\n\t}\n'
        "}\n"
    )


def test_an_element_reads_as_in_nft() -> None:
    element = PORTS.element("tcp", 80, data=(IPv4Address("10.0.0.1"), 8080))
    assert str(element) == "inet t ports { tcp . 80 : 10.0.0.1 . 8080 }"


def test_what_is_referred_to_comes_first_whatever_the_order_given() -> None:
    chain = Chain(TABLE, "c", (rule(f.saddr(4).in_(PODS), DROP),))
    pod = PODS.element(IPv4Address("10.0.0.1"))
    assert str(nft.put(pod, chain, PODS, TABLE)).splitlines() == [
        "add table inet t",
        "add set inet t pods { type ipv4_addr; }",
        "add chain inet t c",
        "flush chain inet t c",
        "add rule inet t c ip saddr @pods drop",
        "add element inet t pods { 10.0.0.1 }",
    ]


def test_removal_goes_the_other_way_round() -> None:
    chain = Chain(TABLE, "c")
    assert str(nft.destroy(TABLE, chain, PODS, PODS.element(IPv4Address("10.0.0.1")))).splitlines() == [
        "destroy element inet t pods { 10.0.0.1 }",
        "destroy chain inet t c",
        "destroy set inet t pods",
        "destroy table inet t",
    ]


def test_a_map_element_is_taken_out_before_it_is_put_as_the_kernel_refuses_other_data() -> None:
    element = JUDGES.element(IPv4Address("10.0.0.1"), 7, data=DROP)
    assert str(nft.put(element)).splitlines() == [
        "destroy element inet t judges { 10.0.0.1 . 0x00000007 : drop }",
        "add element inet t judges { 10.0.0.1 . 0x00000007 : drop }",
    ]


def test_a_replaced_table_is_made_anew_in_the_same_batch() -> None:
    assert str(nft.replace(TABLE, PODS)).splitlines() == [
        "destroy table inet t",
        "add table inet t",
        "add set inet t pods { type ipv4_addr; }",
    ]


def test_a_digest_sees_rules_and_sets_but_no_elements() -> None:
    empty = Ruleset((TABLE,), (PODS,))
    filled = Ruleset((TABLE,), (PODS,), elements=(Element(PODS, (IPv4Address("10.0.0.1"),)),))
    other = Ruleset((TABLE,), (PODS,), (Chain(TABLE, "c", (rule(DROP),)),))
    assert empty.digest(TABLE) == filled.digest(TABLE) != other.digest(TABLE)


def test_a_stamp_is_stable_and_kept_in_the_comment() -> None:
    once = Ruleset((TABLE,), (PODS,)).stamped()
    assert once.stamped().tables[0].comment == once.tables[0].comment == Ruleset((TABLE,), (PODS,)).digest(TABLE)
