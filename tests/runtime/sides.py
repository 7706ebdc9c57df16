"""Two nodes on one segment that are asked the same: ours, and one where the reference plugins do the work.

The other node is a network namespace with a link to the segment, so nothing of it can be left: links, rules and chains
go with it. Both hand out addresses of the same ranges, so what they answer can be compared as it is.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_interface
from pathlib import Path

from agent import config
from cni.conflist import install
from tests.places import NODE_ADDRESS, OUTSIDE, SEGMENT
from tests.prober import NODE, Servers, ask
from tests.running import RunningAgent
from tests.runtime import chain
from tests.runtime.chain import Chain, Config
from tests.runtime.network_namespace import NetworkNamespace

CAPABILITIES = {"portMappings": True, "ips": True, "mac": True}
PEER_ADDRESS = {4: "192.0.2.99", 6: "2001:db8::99"}
PEER_MAC = "02:00:00:00:00:99"
PORT = 80


@dataclass(frozen=True)
class Side:
    """`chains` by version of the specification; `place`: the node's network namespace."""

    name: str
    chains: dict[str, Chain]
    place: Path
    addresses: dict[int, str]

    def host_ports(self, pod: NetworkNamespace, *ports: int) -> dict[tuple[str, int, str], str]:
        """Who is heard from outside, from the node and from the pod itself, at the node's addresses."""
        heard = {}
        with Servers() as servers:
            servers.listen(pod.path, "pod", PORT)
            for family, address in self.addresses.items():
                for port in ports:
                    for kind in ("tcp", "udp"):
                        for name, place in (("outside", OUTSIDE), ("node", self.place), ("pod", pod.path)):
                            answered = ask(place, kind, address, port, timeout_s=2)
                            heard[f"{name} IPv{family}", port, kind] = answered.name if answered else "nobody"
        return heard


@contextmanager
def ours(directory: Path, mode: str, versions: tuple[str, ...]) -> Iterator[Side]:
    running = RunningAgent(directory, network__mode=mode).start()
    install(directory / "net.d", directory / "bin", socket=running.socket_path, spool=running.state_dir / "spool")
    plugin = {"type": "podwright", "capabilities": CAPABILITIES}
    chains = {version: Chain("same", directory / "bin", [plugin], version=version) for version in versions}
    try:
        yield Side("podwright", chains, NODE, NODE_ADDRESS)
    finally:
        running.clear()


@contextmanager
def reference(directory: Path, plugins: Path, backend: str, versions: tuple[str, ...]) -> Iterator[Side]:
    """bridge, portmap and firewall (which speaks 0.4.0 and later); `backend` iptables or nftables, where a plugin knows it."""
    ranges = [str(cidr) for cidr in config.load(environment={}).network.pod_cidrs]
    is_newer = backend == "nftables"
    listed: list[Config] = [
        {
            **chain.bridge("peer0", ranges, data=directory / "leases", ipMasq=True, **({"ipMasqBackend": backend} if is_newer else {})),
            "capabilities": {"ips": True, "mac": True},
        },
        {"type": "portmap", "capabilities": {"portMappings": True}, **({"backend": backend} if is_newer else {})},
    ]
    firewall: Config = {"type": "firewall"}
    path = chain.iptables_path("nft", directory / "bin")
    with NetworkNamespace.made(directory / "node") as node:
        _join_segment(node)
        chains = {
            version: Chain(
                "same", plugins, [*listed, *([firewall] if version >= "0.4" else [])], node=node.path, path=path, version=version
            )
            for version in versions
        }
        yield Side(f"reference, {backend}", chains, node.path, PEER_ADDRESS)


def _join_segment(node: NetworkNamespace) -> None:
    """With a MAC that stays, or outside would remember the last peer's. Nobody waits for duplicate address detection."""
    node.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_dad=0")
    outside = ["nsenter", f"--net={OUTSIDE}", "ip", "link"]
    subprocess.run(
        [*outside, "add", "peer-node", "type", "veth", "peer", "name", "uplink", "address", PEER_MAC, "netns", str(node.path)], check=True
    )
    subprocess.run([*outside, "set", "peer-node", "master", SEGMENT, "up"], check=True)
    node.run("ip", "link", "set", "lo", "up")
    node.run("ip", "link", "set", "uplink", "up")
    node.run("ip", "address", "add", f"{PEER_ADDRESS[4]}/24", "dev", "uplink")
    node.run("ip", "address", "add", f"{PEER_ADDRESS[6]}/64", "dev", "uplink", "nodad")
    node.run("ip", "route", "add", "default", "via", "192.0.2.1")
    node.run("ip", "-6", "route", "add", "default", "via", "2001:db8::1", "dev", "uplink")


def neutral(result: Config, pod: NetworkNamespace) -> Config:
    """A result, with what may differ made the same: names and MACs that each side makes up, and three ways to say one thing.

    The reference gives an address its network's prefix, so that neighbours are asked for by ARP; ours has a prefix of
    its own (/32, /128), so that everything goes to the gateway. A route without a gateway goes by that of its family's
    address, which ours names. Without DNS settings the older plugins write an empty object.
    """
    result = json.loads(json.dumps(result).replace(str(pod.path), "the pod"))
    for each in result.get("interfaces", ()):
        each["name"] = "eth0" if each.get("sandbox") else "of the node"
        each["mac"] = "a MAC"
        each.pop("mtu", None)
    holders = [result, *(result[family] for family in ("ip4", "ip6") if family in result)]
    addresses = [(each, key) for each in (*result.get("ips", ()), *holders[1:]) for key in ("address", "ip") if key in each]
    for each, key in addresses:
        each[key] = str(ip_interface(each[key]).ip)
    for route in (route for holder in holders for route in holder.get("routes", ())):
        route.pop("gw", None)
    if not result.get("dns"):
        result.pop("dns", None)
    return dict(result)
