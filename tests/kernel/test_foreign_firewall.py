"""Other tools' firewalls that drop pods' packets: found, and opened by the accept that `--firewall` keeps in them.

The rule sets are those that Docker 20 to 28, ufw 0.36 and firewalld 1.3 make, cut to what decides about forwarding.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.cli.checks import firewalls
from agent.cli.checks.machine import Machine, look
from agent.config import Config, ForeignFirewall, Mode, NetworkConfig
from agent.kernel import foreign_rules
from agent.network import foreign, foreign_accept
from agent.network.foreign import Path as Way
from tests.fresh import in_new_netns, shell
from tests.places import NODE_ADDRESS, OUTSIDE, OUTSIDE_ADDRESS, Pod, make_pods, manifest
from tests.prober import Servers, ask
from tests.running import RunningAgent

pytestmark = [pytest.mark.kernel, pytest.mark.needs("nft", "iptables-nft", "ip6tables-nft")]

HOST_PORT = 8081
DOCKER = """
{0} -P FORWARD DROP
{0} -N DOCKER; {0} -N DOCKER-USER; {0} -N DOCKER-ISOLATION-STAGE-1
{0} -A FORWARD -j DOCKER-USER
{0} -A FORWARD -j DOCKER-ISOLATION-STAGE-1
{0} -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
{0} -A FORWARD -o docker0 -j DOCKER
{0} -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
{0} -A DOCKER-ISOLATION-STAGE-1 -j RETURN
{0} -A DOCKER-USER -j RETURN
"""
OLD_DOCKER = "{0} -P FORWARD DROP; {0} -N DOCKER; {0} -A FORWARD -o docker0 -j DOCKER; {0} -A FORWARD -i docker0 -j ACCEPT"
UFW_CHAINS = "before-logging before after after-logging reject track"
UFW_FILL = f"""
for chain in {UFW_CHAINS}; do {{0}} -A FORWARD -j ufw{{1}}-$chain-forward; done
{{0}} -A ufw{{1}}-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
{{0}} -A ufw{{1}}-before-forward -j ufw{{1}}-user-forward
{{0}} -A ufw{{1}}-after-logging-forward -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW BLOCK] "
{{0}} -A ufw{{1}}-reject-forward -j REJECT
"""
UFW = f"{{0}} -P FORWARD DROP; for chain in user {UFW_CHAINS}; do {{0}} -N ufw{{1}}-$chain-forward; done{UFW_FILL}"
UFW_RELOAD = f"for chain in {UFW_CHAINS}; do {{0}} -F ufw{{1}}-$chain-forward; {{0}} -D FORWARD -j ufw{{1}}-$chain-forward; done{UFW_FILL}"
FIREWALLD = """
table inet firewalld {
    chain filter_FORWARD {
        type filter hook forward priority filter + 10; policy accept;
        ct state { established, related } accept
        iifname "lo" accept
        ct state invalid drop
        jump filter_FORWARD_ZONES
        reject with icmpx admin-prohibited
    }
    chain filter_FORWARD_ZONES { iifname "uplink" goto filter_FWD_public; }
    chain filter_FWD_public { reject with icmpx admin-prohibited; }
}
"""
BOTH = (("iptables-nft", ""), ("ip6tables-nft", "6"))
IPTABLES = {"docker": DOCKER, "docker-old": OLD_DOCKER, "ufw": UFW}


def for_both(script: str) -> str:
    return "set -e\n" + "\n".join(script.format(*words) for words in BOTH)


def rules() -> str:
    """Of the tables that tools made, without counters."""
    found = shell("for table in 'ip filter' 'ip6 filter' 'inet firewalld'; do nft list table $table 2>/dev/null; done; true")
    return re.sub(r"counter packets \d+ bytes \d+", "counter", found)


def remove_all_tables() -> None:
    shell("for t in ip ip6; do nft delete table $t filter 2>/dev/null; done; nft delete table inet firewalld 2>/dev/null; true")


@pytest.fixture
def fake_firewall_cmd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A firewall-cmd that knows the zone trusted, kept in a file, and makes of it what firewalld does."""
    zone = tmp_path / "trusted"
    zone.touch()
    command = tmp_path / "firewall-cmd"
    command.write_text(f"""#!/bin/sh
device=${{2#*=}} name=$(echo "${{2#*=}}" | tr + '*')
case $2 in
--query-interface=*) if grep -qxF "$device" {zone}; then echo yes; else echo no; exit 1; fi ;;
--add-interface=*) echo "$device" >>{zone}
    nft insert rule inet firewalld filter_FORWARD_ZONES iifname "$name" accept comment '"trusted"'
    nft insert rule inet firewalld filter_FORWARD_ZONES oifname "$name" accept comment '"trusted"' ;;
--remove-interface=*) : >{zone}; nft flush chain inet firewalld filter_FORWARD_ZONES
    nft add rule inet firewalld filter_FORWARD_ZONES iifname uplink goto filter_FWD_public ;;
esac
""")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return zone


@contextmanager
def ruleset_of(tool: str) -> Iterator[str]:
    """The tool's rules are in force during the block. Gives them back as text."""
    try:
        shell("nft -f -", FIREWALLD) if tool == "firewalld" else shell(for_both(IPTABLES[tool]))
        yield rules()
    finally:
        remove_all_tables()


def obstacles(device: str) -> list[str]:
    with closing(foreign_rules.open_reader()) as reader:
        return [str(one) for one in foreign.obstacles(foreign.read(reader), Way(device, "uplink"))]


class TestFinding:
    """In a namespace of its own: nothing of the agent is there."""

    def test_nothing_is_in_the_way_without_other_tools(self) -> None:
        assert in_new_netns(obstacles, "pw0") == []

    @pytest.mark.parametrize("tool", ["docker", "docker-old", "ufw", "firewalld"])
    def test_who_drops_what(self, tool: str) -> None:
        def found() -> list[str]:
            with ruleset_of(tool):
                return obstacles("pw0")

        where = {"ufw": "a rule of chain ufw-reject-forward that drops", "firewalld": "a rule of chain filter_FORWARD that drops"}
        first, *others = in_new_netns(found)
        name, table = tool.removesuffix("-old"), "inet firewalld" if tool == "firewalld" else "ip filter"
        chain = where.get(tool, "policy drop of chain FORWARD")
        assert first == f"{name} drops IPv4 packets that pods send to the outside: table {table}, {chain}"
        assert len(others) == 3

    @pytest.mark.parametrize(
        "rule", ["-I FORWARD -i pw+", "-I FORWARD -s 10.73.0.0/20", "-I FORWARD -p tcp --dport 443 -i pw0", "-I DOCKER-USER"]
    )
    def test_an_accept_that_is_there_counts(self, rule: str) -> None:
        def found() -> list[str]:
            with ruleset_of("docker"):
                shell(f"iptables-nft {rule} -m comment --comment 'by hand' -j ACCEPT")
                return [one for one in obstacles("pw0") if "IPv4" in one and "pods send" in one]

        assert in_new_netns(found) == []

    @pytest.mark.parametrize("rule", ["-i eth7", "-p udp", "-s 192.168.0.0/16", "-m conntrack --ctstate ESTABLISHED", "-d 10.0.0.0/8"])
    def test_one_for_others_does_not(self, rule: str) -> None:
        def found() -> list[str]:
            with ruleset_of("docker"):
                shell(f"iptables-nft -I DOCKER-USER {rule} -j ACCEPT")
                return [one for one in obstacles("pw0") if "IPv4" in one and "pods send" in one]

        assert len(in_new_netns(found)) == 1

    @pytest.mark.parametrize(
        ("rule", "is_dropped"),
        [
            ("ip saddr { 10.73.0.0/20, 10.99.0.0-10.99.0.7 } drop", True),
            ("ip saddr { 10.74.0.0/20, 10.72.0.0/16 } drop", False),
            ('iifname . oifname { "pw0" . "uplink" } drop', True),
            ("ip saddr . ip daddr { 10.73.0.0/16 . 198.51.0.0/16 } drop", True),
            ("ip saddr . ip daddr { 10.73.0.0/16 . 198.52.0.0/16 } drop", False),
            ('iifname vmap { "eth0" : accept, "pw0" : jump sub }', True),
            ("ct state vmap { established : accept, new : drop }", True),
            ("tcp dport 400-500 drop", True),
            ("tcp dport != 443 drop", False),
            ("tcp flags & (syn | ack) == syn drop", True),
            ("meta mark 0x80 drop", False),
            ("goto sub", True),
            ("jump back", False),
        ],
    )
    def test_what_native_rules_would_do(self, rule: str, is_dropped: bool) -> None:
        text = f"""table ip t {{
            chain sub {{ counter drop; }}
            chain back {{ return; drop; }}
            chain forward {{ type filter hook forward priority 5; {rule}; }}
        }}"""

        def found() -> list[str]:
            shell("nft -f -", text)
            return [one for one in obstacles("pw0") if "pods send" in one]

        assert bool(in_new_netns(found)) == is_dropped

    @pytest.mark.needs("iptables-legacy", "ip6tables-legacy")
    def test_legacy_rules_are_found_and_opened(self) -> None:
        def found() -> tuple[list[str], list[str]]:
            shell("iptables-legacy -P FORWARD DROP && iptables-legacy -N DOCKER-USER && iptables-legacy -A FORWARD -j DOCKER-USER")
            machine = Machine(config=Config(network=NetworkConfig(firewall=ForeignFirewall.DOCKER)), root=Path("/proc/thread-self/root"))
            before = [one.message for one in firewalls.forwarding(machine)]
            foreign_accept.Accept(ForeignFirewall.DOCKER, "pw0").ensure()
            return before, [one.message for one in firewalls.forwarding(machine)]

        before, after = in_new_netns(found)
        assert before == ["docker drops IPv4 packets that pods send to the outside: iptables-legacy, policy drop of chain FORWARD"]
        assert "no other tool drops" in after[0]


Reach = dict[tuple[str, int], bool]


@dataclass(frozen=True)
class World:
    """A pod with a server, and one outside. Each question is a new connection."""

    pod: Pod
    device: str
    """As nft writes the pods' devices."""

    def reach(self) -> Reach:
        questions = {("out", family): (self.pod.place, OUTSIDE_ADDRESS[family], 7001) for family in (4, 6)}
        questions |= {("in", family): (OUTSIDE, NODE_ADDRESS[family], HOST_PORT) for family in (4, 6)}
        with ThreadPoolExecutor(len(questions)) as askers:
            answers = {way: askers.submit(ask, place, "tcp", address, port) for way, (place, address, port) in questions.items()}
            return {way: answer.result() is not None for way, answer in answers.items()}

    def settled(self, wanted: bool, timeout_s: float = 5.0) -> Reach:
        """What is reached, once all of it is as wanted, or the time is over."""
        deadline = time.monotonic() + timeout_s
        while set((found := self.reach()).values()) != {wanted} and time.monotonic() < deadline:
            time.sleep(0.05)
        return found


@pytest.fixture(scope="module")
def world(agent: RunningAgent, mode: str) -> Iterator[World]:
    """The agent runs without --firewall."""
    (pod,) = make_pods(agent, manifest("a", f"containerPort: 80, hostPort: {HOST_PORT}"))
    with Servers() as servers:
        servers.listen(pod.place, "a", 80)
        for address in OUTSIDE_ADDRESS.values():
            servers.listen(OUTSIDE, "outside", 7001, address=address)
        yield World(pod, "pw0" if mode == "bridge" else "pwv*")


ALL, NOTHING = {True}, {False}


@pytest.mark.parametrize("tool", ["docker", "docker-old", "ufw", "firewalld"])
@pytest.mark.usefixtures("fake_firewall_cmd")
def test_closed_before_open_after_and_exactly_as_before_when_removed(world: World, tool: str) -> None:
    accept = foreign_accept.Accept(ForeignFirewall(tool.removesuffix("-old")), world.device)
    assert set(world.reach().values()) == ALL
    with ruleset_of(tool) as before:
        assert set(world.reach().values()) == NOTHING
        assert accept.ensure()
        assert set(world.reach().values()) == ALL
        assert obstacles(world.device.replace("*", "0")) == []
        assert accept.ensure() == (), "a second time there is nothing to do"
        foreign_accept.remove(foreign_accept.devices("pw0"))
        assert rules() == before
        assert set(world.reach().values()) == NOTHING


def test_the_accept_outlives_a_reload_of_ufw(world: World) -> None:
    with ruleset_of("ufw") as before:
        foreign_accept.Accept(ForeignFirewall.UFW, world.device).ensure()
        shell(for_both(UFW_RELOAD))
        assert set(world.reach().values()) == ALL
        foreign_accept.remove(())
        assert rules() == before


def test_one_that_was_flushed_comes_back(world: World) -> None:
    keeper = foreign_accept.keeper(ForeignFirewall.DOCKER, world.device, every_s=0.1)
    with ruleset_of("docker") as before:
        keeper.start()
        try:
            assert set(world.settled(True).values()) == ALL
            shell("iptables-nft -F DOCKER-USER; ip6tables-nft -F DOCKER-USER")
            assert set(world.settled(True).values()) == ALL
        finally:
            keeper.stop()
        foreign_accept.remove(())
        shell("iptables-nft -A DOCKER-USER -j RETURN; ip6tables-nft -A DOCKER-USER -j RETURN")
        assert rules() == before


@pytest.mark.parametrize("mode", ["bridge"], scope="module")
def test_the_agent_keeps_what_its_setting_says_and_takes_back_what_it_no_longer_says(
    world: World, agent: RunningAgent, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ruleset_of("docker") as before:
        agent.stop()
        agent.start({"PODWRIGHT_NETWORK__FIREWALL": "docker"})
        assert set(world.settled(True).values()) == ALL
        agent.restart()
        assert set(world.settled(False).values()) == NOTHING
        assert rules() == before


@pytest.mark.parametrize("mode", ["bridge"], scope="module")
@pytest.mark.usefixtures("world")
def test_doctor_says_who_and_how(agent: RunningAgent, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODWRIGHT_SOCKET", str(agent.socket_path))
    with ruleset_of("docker"):
        (first, second) = firewalls.forwarding(look())
    assert first.message == "docker drops IPv4 packets that pods send to the outside: table ip filter, policy drop of chain FORWARD"
    assert first.cure == "podwright agent --firewall docker, or network.firewall: docker in the configuration file"
    assert "IPv6" in second.message
    (fine,) = firewalls.forwarding(look())
    assert fine.level == "ok"


def test_the_mode_is_followed() -> None:
    """The device that doctor asks about is the one that the agent opens."""
    machine = Machine(config=Config(network=NetworkConfig(mode=Mode.ROUTED)))
    (finding,) = firewalls.forwarding(machine)
    assert finding.level == "ok"
