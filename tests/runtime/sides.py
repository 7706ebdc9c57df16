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
from typing import Any

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
                            answered = ask(place, kind, address, port)
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
    outside = ["nsenter", f"--net={OUTSIDE}", "ip", "link"]
    subprocess.run([*outside, "add", "peer-node", "type", "veth", "peer", "name", "uplink", "netns", str(node.path)], check=True)
    subprocess.run([*outside, "set", "peer-node", "master", SEGMENT, "up"], check=True)
    node.run("ip", "link", "set", "lo", "up")
    node.run("ip", "link", "set", "uplink", "up")
    node.run("ip", "address", "add", f"{PEER_ADDRESS[4]}/24", "dev", "uplink")
    node.run("ip", "address", "add", f"{PEER_ADDRESS[6]}/64", "dev", "uplink", "nodad")
    node.run("ip", "route", "add", "default", "via", "192.0.2.1")
    node.run("ip", "-6", "route", "add", "default", "via", "2001:db8::1", "dev", "uplink")


def without_lengths(result: Config) -> dict[str, Any]:
    """A result, with what may differ made the same: the names and MACs that each side makes up, and the prefix.

    The reference puts a pod's address on the link with its network's prefix, so that neighbours are asked for by ARP;
    we give it a prefix of its own (/32, /128), so that everything goes to the gateway.
    """
    result = json.loads(json.dumps(result))
    for each in result.get("interfaces", ()):
        each["name"] = "eth0" if each.get("sandbox") else "of the node"
        each["mac"] = "a MAC"
        each.pop("mtu", None)
    for each in result.get("ips", ()):
        each["address"] = str(ip_interface(each["address"]).ip)
    for family in ("ip4", "ip6"):
        if family in result:
            result[family]["ip"] = str(ip_interface(result[family]["ip"]).ip)
    return dict(result)
