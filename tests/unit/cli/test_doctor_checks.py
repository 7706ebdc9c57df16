"""Each check on a machine made up for it: what it says, and how bad it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from agent.cli.checks import addresses, agent, cni, host, kernel, leftovers, limits, managers, mtu, ports, settings
from agent.cli.checks.machine import Agent, Machine
from agent.cli.checks.registry import Check, Finding, Level
from agent.config import Config, NetworkConfig
from agent.errors import InvalidObject, Unavailable
from agent.kernel.link import Link
from agent.network.uplink import AddressFact, LinkFact, NodeFacts, RouteFact

OK, WARN, FAIL = Level.OK, Level.WARNING, Level.PROBLEM
ETH0, ETH1 = LinkFact("eth0", 2, 1500), LinkFact("eth1", 3, 1500)
DEFAULT4, DEFAULT6 = (RouteFact(ip_network(text), "eth0") for text in ("0.0.0.0/0", "::/0"))
ADDRESS = AddressFact(ip_address("192.0.2.11"), "eth0")
BRIDGE_MAC = "ee:ee:ee:ee:ee:ee"
NOTHING = Machine(root=Path("/nonexistent"), facts=NodeFacts((ETH0,), (DEFAULT4, DEFAULT6), (ADDRESS,)))


def link(name: str, kind: str = "veth", *, index: int = 7, mtu: int = 1500, mac: str = BRIDGE_MAC) -> Link:
    return Link(index=index, name=name, kind=kind, mac=mac, mtu=mtu, master=0, is_up=True, alias="", peer_index=0)


@pytest.fixture
def files(tmp_path: Path) -> Callable[[dict[str, str]], Machine]:
    """NOTHING, with these files."""

    def make(contents: dict[str, str]) -> Machine:
        for name, text in contents.items():
            path = tmp_path / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return replace(NOTHING, root=tmp_path)

    return make


Files = Callable[[dict[str, str]], Machine]


def worst(check: Check, machine: Machine) -> Finding:
    found = list(check(machine))
    return min(found, key=lambda one: (FAIL, WARN, OK).index(one.level))


class TestAgent:
    def test_down(self) -> None:
        down = Unavailable("cannot reach the agent", hint="start it")
        assert list(agent.answers(replace(NOTHING, agent=Agent(error=down)))) == [Finding(FAIL, "cannot reach the agent", "start it")]

    def test_up_but_not_ready(self) -> None:
        state = Agent(version="1.0", error=Unavailable("not yet", hint="wait"))
        assert [one.level for one in agent.answers(replace(NOTHING, agent=state))] == [OK, FAIL]

    def test_wrong_configuration(self) -> None:
        wrong = replace(NOTHING, config_error=InvalidObject("network.mode: no such mode", hint="see the file"))
        assert worst(agent.configuration, wrong) == Finding(FAIL, "network.mode: no such mode", "see the file")

    def test_a_mode_that_waits_for_pods_to_go(self) -> None:
        assert "attached in mode routed" in worst(agent.configuration, replace(NOTHING, agent=Agent(mode="routed"))).message

    def test_leftovers(self, files: Files) -> None:
        dead = replace(files({"/run/podwright/ns/1234/net": ""}), links=(link("pwv1"), link("pw0", "bridge")), is_root=False)
        assert worst(leftovers.leftovers, dead).message == "no agent runs, but 2 links, the namespaces of 1 pods are there"
        alive = replace(NOTHING, agent=Agent(version="1", host_links=frozenset({"pwv1"})), links=(link("pwv1"), link("pwv2")))
        assert "does not know 1 of the pod links: pwv2" in worst(leftovers.leftovers, alive).message
        assert worst(leftovers.leftovers, replace(alive, links=(link("pwv1"),))).level is OK


class TestKernel:
    @pytest.mark.parametrize(("release", "level"), [("6.1.0-18-amd64", OK), ("5.10.1", OK), ("5.9.16", FAIL), ("4.19", FAIL)])
    def test_version(self, files: Files, release: str, level: Level) -> None:
        assert worst(kernel.version, files({"/proc/sys/kernel/osrelease": release + "\n"})).level is level

    def test_capabilities(self, files: Files) -> None:
        status = "Name:\tx\nCapEff:\t{:016x}\n"
        everything = (1 << 41) - 1
        assert worst(kernel.capabilities, files({"/proc/self/status": status.format(everything)})).level is OK
        assert (
            "CAP_SYS_RESOURCE" in worst(kernel.capabilities, files({"/proc/self/status": status.format(everything & ~(1 << 24))})).message
        )
        found = worst(kernel.capabilities, files({"/proc/self/status": status.format(everything & ~(1 << 12))}))
        assert (found.level, found.message) == (FAIL, "root lacks CAP_NET_ADMIN")

    def test_namespaces(self, files: Files) -> None:
        assert worst(kernel.namespaces, files({"/proc/sys/user/max_net_namespaces": "0"})).level is FAIL
        assert worst(kernel.namespaces, files({"/proc/sys/user/max_net_namespaces": "100"})).level is WARN
        assert worst(kernel.namespaces, files({"/proc/sys/user/max_net_namespaces": "30000"})).level is OK


class TestSettings:
    OFF = {"/proc/sys/net/ipv4/ip_forward": "1\n", "/proc/sys/net/ipv6/conf/all/forwarding": "0\n"}

    def test_forwarding_off_behind_the_agents_back(self, files: Files) -> None:
        found = worst(settings.forwarding, replace(files(self.OFF), agent=Agent(version="1")))
        assert (found.level, found.cure) == (FAIL, "sysctl -w net/ipv6/conf/all/forwarding=1")

    def test_forwarding_off_without_an_agent_is_the_agents_to_do(self, files: Files) -> None:
        assert worst(settings.forwarding, files(self.OFF)).level is OK

    def test_forwarding_off_on_one_device(self, files: Files) -> None:
        contents = dict.fromkeys(self.OFF, "1") | {"/proc/sys/net/ipv4/conf/eth0/forwarding": "0"}
        assert "eth0" in worst(settings.forwarding, replace(files(contents), agent=Agent(version="1"))).cure

    def test_a_strict_reverse_path_filter(self, files: Files) -> None:
        one = files({"/proc/sys/net/ipv4/conf/all/rp_filter": "1"})
        assert worst(settings.reverse_path, one).level is OK, "with one way out it is harmless"
        two = NodeFacts((ETH0, ETH1), (DEFAULT4, replace(DEFAULT6, device="eth1")), ())
        assert "strict on eth0, eth1" in worst(settings.reverse_path, replace(one, facts=two)).message

    def test_a_loose_one_wins_over_a_strict_one(self, files: Files) -> None:
        contents = {f"/proc/sys/net/ipv4/conf/{name}/rp_filter": value for name, value in (("all", "1"), ("eth0", "2"), ("eth1", "2"))}
        two = NodeFacts((ETH0, ETH1), (DEFAULT4, replace(DEFAULT6, device="eth1")), ())
        assert worst(settings.reverse_path, replace(files(contents), facts=two)).level is OK

    def test_an_uplink_that_lives_by_router_advertisements(self, files: Files) -> None:
        contents = {"/proc/sys/net/ipv6/conf/all/forwarding": "1", "/proc/sys/net/ipv6/conf/eth0/accept_ra": "1"}
        machine = files(contents)
        assert worst(settings.router_advertisements, machine).level is WARN
        by_ra = NodeFacts((ETH0,), (DEFAULT4, replace(DEFAULT6, protocol=9)), ())
        found = worst(settings.router_advertisements, replace(machine, facts=by_ra))
        assert (found.level, found.cure) == (FAIL, "sysctl -w net/ipv6/conf/eth0/accept_ra=2")
        assert worst(settings.router_advertisements, files({"/proc/sys/net/ipv6/conf/eth0/accept_ra": "2"})).level is OK


class TestAddresses:
    def test_a_pod_range_that_is_routed_elsewhere(self) -> None:
        vpn = RouteFact(ip_network("10.0.0.0/8"), "tun0")
        found = worst(addresses.pod_cidrs, replace(NOTHING, facts=NodeFacts((ETH0,), (DEFAULT4, vpn), ())))
        assert (found.level, found.cure) == (FAIL, "choose another range with network.podCIDRs")
        assert "10.73.0.0/20 overlaps route 10.0.0.0/8 dev tun0" in found.message

    def test_the_nat_address_when_there_is_another(self) -> None:
        both = (AddressFact(ip_address("10.0.2.15"), "eth0"), AddressFact(ip_address("192.168.56.10"), "eth1"))
        facts = NodeFacts((ETH0, ETH1), (DEFAULT4,), both)
        chosen = replace(NOTHING, facts=facts, config=Config(network=NetworkConfig(node_ips=(both[0].address,))))
        found = worst(addresses.node_address, chosen)
        assert (found.level, found.cure) == (FAIL, "set network.nodeIPs to 192.168.56.10")
        alone = replace(NOTHING, facts=NodeFacts((ETH0,), (DEFAULT4,), both[:1]))
        assert worst(addresses.node_address, alone).level is WARN

    def test_a_configured_address_that_is_not_here(self) -> None:
        found = worst(addresses.node_address, replace(NOTHING, config=Config(network=NetworkConfig(node_ips=(ip_address("192.0.2.99"),)))))
        assert "is on no link of this node" in found.message

    def test_an_ipv6_address_that_another_machine_has(self, files: Files) -> None:
        address = ip_address("2001:db8::11")
        row = f"{address.packed.hex()} 02 40 00 {{}} eth0\n"
        facts = NodeFacts((ETH0,), (DEFAULT6,), (AddressFact(address, "eth0"),))
        v6 = Config(network=NetworkConfig(pod_cidrs=(ip_network("fd00::/64"),)))
        taken = replace(files({"/proc/net/if_inet6": row.format("c8")}), facts=facts, config=v6)
        assert "also another machine's" in worst(addresses.node_address, taken).message
        free = replace(files({"/proc/net/if_inet6": row.format("80")}), facts=facts, config=v6)
        assert worst(addresses.node_address, free).level is OK


class TestMtu:
    def config(self, size: int) -> Config:
        return Config(network=NetworkConfig(mtu=size))

    def test_larger_than_the_uplink(self) -> None:
        found = worst(mtu.mtu, replace(NOTHING, config=self.config(9000)))
        assert (found.level, found.cure) == (WARN, "network.mtu: 1500")

    def test_too_small_for_ipv6(self) -> None:
        small = NodeFacts((replace(ETH0, mtu=1200),), (DEFAULT4, DEFAULT6), ())
        assert worst(mtu.mtu, replace(NOTHING, facts=small)).level is FAIL

    def test_links_that_did_not_follow(self) -> None:
        links = (link("pw0", "bridge"), link("pwv1", mtu=9000), link("pwv2", mtu=9000))
        assert "there are 2 with 9000" in worst(mtu.mtu, replace(NOTHING, links=links)).message

    def test_a_tunnel_that_takes_less(self) -> None:
        tunnel = LinkFact("wg0", 9, 1420, "wireguard")
        facts = NodeFacts((ETH0, tunnel), (DEFAULT4, RouteFact(ip_network("10.9.0.0/16"), "wg0")), ())
        assert "behind wg0 (wireguard) must fit 1420" in worst(mtu.mtu, replace(NOTHING, facts=facts)).message
        assert worst(mtu.mtu, replace(NOTHING, facts=facts, config=self.config(1420))).level is OK


class TestPorts:
    HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    ROW = "   0: {}:1F90 00000000:0000 {} 00000000:00000000 00:00000000 00000000     0        0 4711 1\n"

    def pod(self, **port: object) -> dict[str, object]:
        return {"metadata": {"namespace": "web", "name": "front"}, "spec": {"containers": [{"ports": [{"containerPort": 80, **port}]}]}}

    def machine(self, files: Files, address: str = "00000000", state: str = "0A", **port: object) -> Machine:
        made = files({"/proc/net/tcp": self.HEADER + self.ROW.format(address, state)})
        return replace(made, agent=Agent(version="1", pods=(self.pod(**port),)))

    def test_a_program_that_listens_on_a_pods_port(self, files: Files) -> None:
        found = worst(ports.ports, self.machine(files, hostPort=8080))
        assert found.message == "TCP 8080 of pod web/front is also listened on by a program of the node, which hears nobody"

    @pytest.mark.parametrize(
        "harmless",
        [
            {"hostPort": 8081},
            {"hostPort": 8080, "protocol": "UDP"},
            {"hostPort": 8080, "hostIP": "192.0.2.11", "address": "0C0200C0"},
            {"hostPort": 8080, "address": "0100007F"},
            {"hostPort": 8080, "state": "01"},
            {},
        ],
        ids=["other port", "other protocol", "other address", "loopback", "connection", "no host port"],
    )
    def test_harmless(self, files: Files, harmless: dict[str, str]) -> None:
        assert worst(ports.ports, self.machine(files, **harmless)).level is OK  # type: ignore[arg-type]

    def test_ipv6_words_are_read_in_the_machines_order(self, files: Files) -> None:
        row = self.ROW.format("B80D0120000000000000000011000000", "0A")
        (found,) = ports.listeners(files({"/proc/net/tcp6": self.HEADER + row}))
        assert found.address == ip_address("2001:db8::11")


class TestOtherTools:
    def test_networkd_manages_our_bridge(self, files: Files) -> None:
        machine = replace(files({"/run/systemd/netif/links/7": "ADMIN_STATE=configured\n"}), links=(link("pw0", "bridge"),))
        found = worst(managers.networkd, machine)
        assert found.level is FAIL
        assert "[Link]\n    Unmanaged=yes" in found.cure
        unmanaged = replace(files({"/run/systemd/netif/links/7": "ADMIN_STATE=unmanaged\n"}), links=machine.links)
        assert worst(managers.networkd, unmanaged).level is OK

    def test_network_manager_manages_a_pod_link(self, files: Files) -> None:
        machine = replace(files({"/run/NetworkManager/devices/7": "[device]\nmanaged=true\n"}), links=(link("pwv1"),))
        assert "unmanaged-devices=interface-name:pw0;interface-name:pwv*" in worst(managers.network_manager, machine).cure

    def test_a_bridge_whose_mac_was_changed(self, files: Files) -> None:
        wrong = replace(NOTHING, links=(link("pw0", "bridge", mac="02:00:00:00:00:01"),))
        assert f"pods know it as {BRIDGE_MAC}" in worst(managers.mac_addresses, wrong).message
        right = replace(files({"/sys/class/net/pw0/addr_assign_type": "3\n"}), links=(link("pw0", "bridge"),))
        assert worst(managers.mac_addresses, right).level is OK

    OURS = '{"cniVersion": "1.0.0", "name": "podwright", "plugins": [{"type": "podwright"}]}'

    def test_no_cni_configuration_is_fine(self, files: Files) -> None:
        assert worst(cni.configuration, files({})).level is OK

    def test_a_cni_configuration_that_sorts_before_ours(self, files: Files) -> None:
        contents = {"/etc/cni/net.d/05-other.conf": '{"type": "bridge"}', "/etc/cni/net.d/10-podwright.conflist": self.OURS}
        found = list(cni.configuration(files(contents)))
        assert "05-other.conf, which sorts before 10-podwright.conflist" in found[0].message
        assert found[0].cure == "mv /etc/cni/net.d/05-other.conf /etc/cni/net.d/05-other.conf.disabled"
        assert "names the plugin bridge, which is in none of" in found[1].message

    def test_our_plugin_is_missing(self, files: Files) -> None:
        contents = {"/etc/cni/net.d/10-podwright.conflist": self.OURS}
        assert worst(cni.configuration, files(contents)).cure == "podwright cni install"
        assert worst(cni.configuration, files(contents | {"/opt/cni/bin/podwright": "#!"})).level is OK

    def test_a_cni_configuration_that_is_none(self, files: Files) -> None:
        assert worst(cni.configuration, files({"/etc/cni/net.d/10-x.conflist": "{"})).level is WARN


class TestLimits:
    @pytest.mark.parametrize(("used", "level"), [(100, OK), (800, WARN), (950, FAIL), (1000, FAIL)])
    def test_connections(self, files: Files, used: int, level: Level) -> None:
        names = ("/proc/sys/net/netfilter/nf_conntrack_count", "/proc/sys/net/netfilter/nf_conntrack_max")
        assert worst(limits.connections, files(dict(zip(names, (str(used), "1000"), strict=True)))).level is level

    def test_a_neighbour_table_that_overflowed(self, files: Files) -> None:
        header = "entries  allocs destroys table_fulls\n"
        contents = {
            "/proc/net/stat/arp_cache": f"{header}00000400 1 1 0000000a\n00000400 1 1 00000001\n",
            "/proc/sys/net/ipv4/neigh/default/gc_thresh3": "1024",
        }
        found = worst(limits.neighbours, files(contents))
        assert "overflowed 11 times" in found.message
        assert found.cure == "sysctl -w net/ipv4/neigh/default/gc_thresh3=4096"

    def test_processes(self, files: Files) -> None:
        contents = {"/proc/loadavg": "0.1 0.1 0.1 2/900 4242", "/proc/sys/kernel/pid_max": "1000", "/proc/sys/kernel/threads-max": "99999"}
        found = worst(limits.processes, files(contents))
        assert (found.level, found.cure) == (WARN, "sysctl -w kernel.pid_max=4000")

    def test_files_and_watches(self, files: Files) -> None:
        assert worst(limits.open_files, files({"/proc/sys/fs/file-nr": "990\t0\t1000"})).level is FAIL
        found = worst(limits.file_watches, files({"/proc/sys/fs/inotify/max_user_instances": "128"}))
        assert found.cure == "sysctl -w fs.inotify.max_user_instances=512"


class TestHost:
    def test_clock(self) -> None:
        assert host.judge_clock(1000.0, 2000.0, is_synchronised=True).level is FAIL
        assert host.judge_clock(3000.0, 2000.0, is_synchronised=False).level is WARN
        assert host.judge_clock(3000.0, 2000.0, is_synchronised=True).message == "synchronised: 1970-01-01 00:50 UTC"

    @pytest.mark.parametrize(
        ("free", "inodes", "level"),
        [(5 << 30, 10**6, OK), (5 << 30, None, OK), (1 << 29, 10**6, WARN), (1 << 20, 10**6, FAIL), (5 << 30, 3, FAIL)],
    )
    def test_disk(self, free: int, inodes: int | None, level: Level) -> None:
        found = list(host.judge_disk("/var/lib/podwright", free, inodes))
        assert (FAIL, WARN, OK)[min((FAIL, WARN, OK).index(one.level) for one in found)] is level
