"""Other tools' rules through the tools' own commands: iptables in its two kinds, and firewall-cmd.

A rule list is looked at only where the kernel already has it: asking iptables would make it. The lock (-w) is
the one that Docker, ufw and kube-proxy take too.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from agent.kernel.netlink import NETLINK_NETFILTER, NetlinkSocket
from agent.kernel.nft.listing import Expression
from agent.kernel.nft.objects import Table
from agent.kernel.nft.session import Nft
from agent.kernel.nft.transaction import Dialect
from agent.kernel.nft.wire import Family
from agent.kernel.run import run

_LOCK = ("-w", "5")
_DEADLINE_S = 20.0
_LEGACY_NAMES = {4: Path("/proc/thread-self/net/ip_tables_names"), 6: Path("/proc/thread-self/net/ip6_tables_names")}
_PROGRAM = {4: "iptables", 6: "ip6tables"}
_FAMILY = {Family.IP: 4, Family.IP6: 6}
FIREWALLD = "firewalld"
_XT_NAME, _XT_INFO = 1, 3
_YES_NO = (0, 1)


@dataclass(frozen=True, slots=True)
class Iptables:
    """The filter table of one family, in one kind."""

    family: int
    is_legacy: bool

    @property
    def program(self) -> str:
        return f"{_PROGRAM[self.family]}-{'legacy' if self.is_legacy else 'nft'}"

    def may_hold(self, comment: str) -> bool:
        """Whether it can be worth asking iptables, which may not even be installed, for rules with this comment."""
        if self.is_legacy:
            return True
        table = Table(Family.IP if self.family == 4 else Family.IP6, "filter")
        with closing(open_reader()) as reader:
            rules = reader.list_content(table).rules
        return any(_has_comment(one, comment) for chain in rules.values() for rule in chain for one in rule.expressions)

    def list_(self) -> tuple[str, ...]:
        """As `-S` prints it: policies (-P), chains (-N), rules (-A)."""
        return tuple(run([self.program, *_LOCK, "-S"], deadline_s=_DEADLINE_S).splitlines())

    def apply(self, arguments: str) -> str:
        """`-I …` or `-D …`, quoted as -S quotes. Returns the command."""
        run([self.program, *_LOCK, *shlex.split(arguments)], deadline_s=_DEADLINE_S)
        return f"{self.program} {arguments}"


def _has_comment(expression: Expression, comment: str) -> bool:
    """As x_tables keeps it: a match with a buffer."""
    found = expression.attributes
    return expression.name == "match" and found[_XT_NAME] == b"comment\0" and found[_XT_INFO].split(b"\0")[0] == comment.encode()


def open_reader() -> Nft:
    """For listings only: it tries nothing out, so it changes nothing."""
    return Nft(NetlinkSocket(NETLINK_NETFILTER), dialect=Dialect())


def present() -> tuple[Iptables, ...]:
    """The filter tables there are."""
    return (*_nft_kind(), *(Iptables(family, is_legacy=True) for family in legacy_families()))


def _nft_kind() -> Iterator[Iptables]:
    with closing(open_reader()) as reader:
        tables = [state.table for state in reader.list_tables()]
    return (Iptables(_FAMILY[table.family], is_legacy=False) for table in tables if table.name == "filter" and table.family in _FAMILY)


def legacy_families() -> tuple[int, ...]:
    return tuple(family for family, names in _LEGACY_NAMES.items() if "filter" in _words(names))


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except OSError:
        return []


def runs_firewalld() -> bool:
    """It has a table of its own, whatever else it is told to use."""
    with closing(open_reader()) as reader:
        return any(state.table.name == FIREWALLD for state in reader.list_tables())


def is_in_zone(zone: str, device: str) -> bool:
    """Raises Unsupported where firewall-cmd is missing."""
    answer = run(["firewall-cmd", f"--zone={zone}", f"--query-interface={device}"], deadline_s=_DEADLINE_S, accept=_YES_NO)
    return answer.strip() == "yes"


def add_to_zone(zone: str, device: str) -> str:
    """Until firewalld reloads; refused when the device is in another zone. Returns the command."""
    return _firewall_cmd(f"--zone={zone}", f"--add-interface={device}")


def remove_from_zone(zone: str, device: str) -> str:
    return _firewall_cmd(f"--zone={zone}", f"--remove-interface={device}")


def _firewall_cmd(*arguments: str) -> str:
    run(["firewall-cmd", *arguments], deadline_s=_DEADLINE_S)
    return shlex.join(["firewall-cmd", *arguments])
