"""The accept for pods that the agent keeps inside another tool's rules, on request (network.firewall).

docker      in DOCKER-USER, which Docker makes for its users and never empties; in FORWARD where there is none
ufw         in FORWARD itself. A reload of ufw empties its own chains and hangs them into FORWARD anew, but leaves
            other rules of FORWARD alone, and no file is changed that would outlive us (`ufw route` would change one)
firewalld   pod devices join the zone `trusted` at run time, by firewall-cmd: its table may belong to it alone

Rules are recognised by their comment, whoever wrote them, so that a later process or another setting can remove
them. They are looked for again every 30 seconds: tools start after us, and rules are flushed by people. iptables'
own commands do the work: they alone know how to share a table with the tools that wrote it, in nft and legacy.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from loguru import logger

from agent import teardown
from agent.config import ForeignFirewall
from agent.errand import Errand
from agent.errors import Unsupported
from agent.kernel import foreign_rules
from agent.kernel.foreign_rules import Iptables
from agent.network.firewall.tables import POD_LINKS

COMMENT = "podwright"
CHECK_EVERY_S = 30.0
_TRUSTED = "trusted"
_IN_IPTABLES = (ForeignFirewall.DOCKER, ForeignFirewall.UFW)


@dataclass(frozen=True, slots=True)
class Change:
    """What makes one iptables rule list right: arguments of iptables, removals last."""

    add: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.add or self.delete)


def plan(saved: Sequence[str], tool: ForeignFirewall, device: str) -> Change:
    """`saved` is what `iptables -S` prints; `device` as iptables writes it (`pwv+`)."""
    chain = _chain(saved, tool)
    wanted = [f"{chain} {side} {device} -m comment --comment {COMMENT} -j ACCEPT" for side in ("-i", "-o")] if chain else []
    there = Counter(line.removeprefix("-A ") for line in saved if line.startswith("-A ") and _is_ours(line))
    missing = tuple(f"-I {rule}" for rule in wanted if rule not in there)
    surplus = (there - Counter(wanted)).elements()
    return Change(missing, tuple(f"-D {rule}" for rule in surplus))


def _is_ours(line: str) -> bool:
    words = shlex.split(line)
    return "--comment" in words[:-1] and words[words.index("--comment") + 1] == COMMENT


def _chain(saved: Sequence[str], tool: ForeignFirewall) -> str:
    """Where the accept belongs, "" where the tool has nothing that could be in its way."""
    drops = "-P FORWARD DROP" in saved
    if tool is ForeignFirewall.DOCKER:
        return "DOCKER-USER" if "-N DOCKER-USER" in saved else "FORWARD" if drops else ""
    if tool is ForeignFirewall.UFW:
        has_ufw = any(line.startswith(("-N ufw-", "-N ufw6-")) for line in saved)
        return "FORWARD" if drops or has_ufw else ""
    return ""


class Accept:
    """`device` is the pods' device as nft writes it: a name, or a prefix with `*`."""

    def __init__(self, tool: ForeignFirewall, device: str) -> None:
        self._tool, self._device = tool, device.replace("*", "+")

    def ensure(self) -> tuple[str, ...]:
        """Rules of ours, and no others of ours: what an earlier setting left is removed. Returns the commands that ran."""
        done = tuple(command for rules in foreign_rules.present() for command in self._ensure(rules))
        if self._tool is not ForeignFirewall.FIREWALLD or not foreign_rules.runs_firewalld():
            return done
        if foreign_rules.is_in_zone(_TRUSTED, self._device):
            return done
        return (*done, foreign_rules.add_to_zone(_TRUSTED, self._device))

    def _ensure(self, rules: Iptables) -> Iterator[str]:
        if self._tool not in _IN_IPTABLES and not rules.may_hold(COMMENT):
            return
        change = plan(rules.list_(), self._tool, self._device)
        for arguments in (*change.add, *change.delete):
            yield rules.apply(arguments)


def remove(devices: Sequence[str]) -> None:
    """Everything that any setting added. `devices`: of every mode. Absence is success."""
    nothing = Accept(ForeignFirewall.NONE, "")
    teardown.run_all((nothing.ensure, lambda: _leave_zones(devices)))


def _leave_zones(devices: Sequence[str]) -> None:
    if not foreign_rules.runs_firewalld():
        return
    with suppress(Unsupported):  # without firewall-cmd nothing can have joined
        for device in (name.replace("*", "+") for name in devices):
            if foreign_rules.is_in_zone(_TRUSTED, device):
                foreign_rules.remove_from_zone(_TRUSTED, device)


def devices(bridge: str) -> tuple[str, ...]:
    """The pods' devices of both modes."""
    return (bridge, POD_LINKS)


def keeper(tool: ForeignFirewall, device: str, *, every_s: float = CHECK_EVERY_S) -> Errand:
    """Keeps the accept where it belongs; it stays when this stops, as pods do. Without a tool: removes once what an
    earlier setting left."""
    accept = Accept(tool, device)

    def keep() -> None:
        for command in accept.ensure():
            logger.info("for pods in another tool's firewall: {}", command)

    errand = Errand("keeping the accept in another tool's firewall", keep, every_s=every_s if tool is not ForeignFirewall.NONE else None)
    errand.ring()
    return errand
