"""Other tools' firewalls: which of them drop pods' packets on the way through the node, and the cure.

Every base chain on the forward hook is asked, whoever made it: an accept in one ends only that one, a drop in any is
the end. What such a chain would do with the first packet from a pod to the outside, and from there to a host port, is
judged without sending it (kernel/nft/judge.py), so an accept that is there counts, whoever put it there. iptables-legacy has no
listing over netlink: its rules are read as `iptables-legacy -S` prints them, and only policy and plain accepts count.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from agent.config import ForeignFirewall
from agent.kernel.nft.judge import Packet, judge
from agent.kernel.nft.listing import FORWARD, ChainState, TableContent
from agent.kernel.nft.objects import Table
from agent.kernel.nft.session import Nft
from agent.kernel.nft.wire import Family
from agent.network.firewall.tables import NAME

FAMILIES = {Family.IP: (4,), Family.IP6: (6,), Family.INET: (4, 6)}
_POD = {4: ip_address("10.73.0.2"), 6: ip_address("fd73:7077:7269::2")}
_ELSEWHERE = {4: ip_address("198.51.100.1"), 6: ip_address("2001:db8:1::1")}


@dataclass(frozen=True, slots=True)
class Path:
    """The devices a pod's packets pass between: the pods' side (wildcard resolved to one name) and the way out."""

    pod_device: str
    uplink: str
    families: tuple[int, ...] = (4, 6)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """`tool` is who made the chain, "" if unknown. `where` names table, chain and what it does."""

    tool: ForeignFirewall
    where: str
    family: int
    is_outbound: bool

    def __str__(self) -> str:
        way = "that pods send to the outside" if self.is_outbound else "from outside to host ports"
        owner = self.tool.value or "another tool"
        return f"{owner} drops IPv{self.family} packets {way}: {self.where}"


def obstacles(contents: Iterable[TableContent], path: Path) -> Iterator[Obstacle]:
    """From the tables that have a chain on the forward hook; ours may be among them."""
    for content in contents:
        for chain in content.chains:
            if chain.hook == FORWARD and is_foreign(chain.table):
                yield from _obstacles_of(content, chain, path)


def _obstacles_of(content: TableContent, chain: ChainState, path: Path) -> Iterator[Obstacle]:
    for family in FAMILIES[chain.table.family]:
        if family not in path.families:
            continue
        for is_outbound in (True, False):
            found = judge(content, chain, _packet(path, family, is_outbound=is_outbound))
            if found.is_dropped:
                yield Obstacle(tool_of(content), f"table {chain.table}, {found}", family, is_outbound)


def _packet(path: Path, family: int, *, is_outbound: bool) -> Packet:
    pod, elsewhere = (path.pod_device, _POD[family]), (path.uplink, _ELSEWHERE[family])
    (iifname, source), (oifname, destination) = (pod, elsewhere) if is_outbound else (elsewhere, pod)
    return Packet(iifname, oifname, source, destination, is_translated=not is_outbound)


def is_foreign(table: Table) -> bool:
    return table.family in FAMILIES and table.name != NAME


def tool_of(content: TableContent) -> ForeignFirewall:
    if content.table.name == "firewalld":
        return ForeignFirewall.FIREWALLD
    return tool_of_chains(chain.name for chain in content.chains)


def tool_of_chains(names: Iterable[str]) -> ForeignFirewall:
    """Docker before ufw: where both are, Docker's own chain comes first."""
    known = set(names)
    if any(name == "DOCKER" or name.startswith("DOCKER-") for name in known):
        return ForeignFirewall.DOCKER
    if any(name.startswith(("ufw-", "ufw6-")) for name in known):
        return ForeignFirewall.UFW
    if any(name.startswith(("FORWARD_ZONES", "FORWARD_IN_ZONES", "FORWARD_POLICIES")) for name in known):
        return ForeignFirewall.FIREWALLD
    return ForeignFirewall.NONE


def legacy_obstacles(saved: Sequence[str], path: Path, family: int) -> Iterator[Obstacle]:
    """`saved` is what `iptables-legacy -S` prints."""
    if "-P FORWARD DROP" not in saved:
        return
    tool = tool_of_chains(line.split()[1] for line in saved if line.startswith("-N "))
    for is_outbound, option in ((True, "-i"), (False, "-o")):
        if not any(_accepts(line, option, path.pod_device) for line in saved):
            yield Obstacle(tool, "iptables-legacy, policy drop of chain FORWARD", family, is_outbound)


def _accepts(line: str, option: str, device: str) -> bool:
    """A rule that accepts whatever enters (-i) or leaves (-o) by the device, whatever its comment."""
    words = shlex.split(line)
    if "--comment" in words[:-1]:
        at = words.index("--comment")
        words = words[: at - 2] + words[at + 2 :]
    if len(words) != 6 or (words[0], words[2], words[4:]) != ("-A", option, ["-j", "ACCEPT"]):
        return False
    named = words[3]
    return named == device or (named.endswith("+") and device.startswith(named[:-1]))


def read(nft: Nft) -> tuple[TableContent, ...]:
    """Every foreign table with a chain on the forward hook."""
    tables = {chain.table for chain in nft.list_every_chain() if chain.hook == FORWARD and is_foreign(chain.table)}
    return tuple(nft.list_content(table) for table in sorted(tables, key=str))
