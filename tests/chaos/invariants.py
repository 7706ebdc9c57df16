"""What must be true of a node whose agent is at rest, whatever happened before: the store and the kernel say the same.

The wanted side is computed from the store's records alone, the actual side is listed from the kernel, and both are
compared as sets, so that what is missing and what is left over are both found. One line per violation.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path

from agent import config, daemon
from agent.config import Config, Mode
from agent.errors import PodwrightError
from agent.kernel import cgroup, mount, neigh, netns, route, sysctl
from agent.kernel.cgroup import Cgroups
from agent.kernel.host import Host
from agent.kernel.netlink import NETLINK_NETFILTER, NETLINK_ROUTE, NetlinkSocket
from agent.kernel.nft import Nft
from agent.kernel.nft.transaction import Dialect
from agent.network import datapath, facts, firewall, forwarding, node, uplink
from agent.network.firewall.tables import BRIDGE, INET, NETDEV
from agent.network.node import GATEWAY_MAC, POD_LINK_PREFIX, POD_NETWORK, SHAPER_LINK_PREFIX, NodeNetwork
from agent.objects.attachment import Attachment, AttachmentKey
from agent.objects.encode import from_record
from agent.objects.meta import IPAddress, Object
from agent.objects.pod import Pod
from agent.policy.compile import Program
from agent.policy.render import Renderer
from agent.sandbox.manager import POD_IFNAME
from tests.prober import inside

SETTLE_S = 3.0
_DEFAULT_LENGTH = 0


@dataclass(frozen=True)
class Records:
    """What the store holds, read from its file beside the agent that has it open."""

    pods: tuple[Pod, ...]
    attachments: tuple[Attachment, ...]

    @classmethod
    def of(cls, settings: Config) -> Records:
        found: list[Object] = []
        if settings.database.exists():
            with closing(sqlite3.connect(f"file:{settings.database}?mode=ro", uri=True)) as database:
                rows = database.execute("SELECT kind, body FROM object").fetchall()
            found = [from_record(kind, body).object for kind, body in rows]
        here = ("", settings.node_name)
        return cls(
            tuple(each for each in found if isinstance(each, Pod) and each.spec.node_name in here),
            tuple(each for each in found if isinstance(each, Attachment)),
        )


class Node:
    """One node's kernel and store, seen from beside the agent. `settings`: the agent's PODWRIGHT_… variables."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.config = config.load(environment=settings)
        self._host = Host()
        self._nft = Nft(NetlinkSocket(NETLINK_NETFILTER), dialect=Dialect())
        self._cgroups = Cgroups(cgroup.detect())

    def close(self) -> None:
        self._host.close()
        self._nft.close()

    def records(self) -> Records:
        return Records.of(self.config)

    def settled(self, containers: Collection[AttachmentKey] = (), *, optional: Collection[AttachmentKey] = ()) -> list[str]:
        """The violations that are left when the agent had time to come to rest."""
        deadline = time.monotonic() + SETTLE_S
        while (found := self.violations(containers, optional=optional)) and time.monotonic() < deadline:
            time.sleep(0.02)
        return found

    def violations(self, containers: Collection[AttachmentKey] = (), *, optional: Collection[AttachmentKey] = ()) -> list[str]:
        """`containers`: the attachments that runtimes were told of; `optional`: may be there, or not at all."""
        records, network = self.records(), self._network
        checks = (
            _pods(records),
            _attachments(records, network, {*containers}, {*optional}),
            self._sandboxes(records),
            self._links(records, network),
            self._reach(records, network),
            self._firewall(records, network),
            _inside_pods(records, network),
            _settings(),
            _connections(records, network),
        )
        return [problem for check in checks for problem in check]

    def remains(self) -> list[str]:
        """What is left of us on a node that was cleared."""
        ours = (POD_LINK_PREFIX, SHAPER_LINK_PREFIX, self.config.network.bridge)
        found = [f"link {link.name}" for link in self._host.list_links() if link.name.startswith(ours)]
        found += [f"route {each}" for each in self._host.list_routes() if each.protocol == route.RTPROT_PODWRIGHT]
        found += [f"table {state.table}" for state in self._nft.list_tables() if state.table in (INET, BRIDGE, NETDEV)]
        gateways = {node.gateway_of(cidr) for cidr in self.config.network.pod_cidrs}
        found += [f"address {each.address}" for each in self._host.list_addresses() if each.address in gateways]
        found += [f"cgroup {name}" for name in self._cgroups.list_()]
        found += [f"mount {each.target}" for each in mount.list_() if each.target.startswith((self.config.run_dir, self.config.state_dir))]
        found += [f"file {each}" for each in Path(self.config.state_dir).rglob("*") if each.name != "pods"]
        return found + [f"setting {name}" for name in forwarding.load(Path(self.config.run_dir))]

    @cached_property
    def _network(self) -> NodeNetwork:
        """As the daemon makes it of configuration and node; made when an agent has run, and the uplink stays as it is."""
        seen, families, ours = facts.read(self._host), daemon._families(self.config), daemon._ours(self.config)
        return node.from_config(
            self.config,
            mtu=uplink.mtu(seen, families, ours),
            node_ips=uplink.node_addresses(seen, families, ours),
            drop_foreign_forward=forwarding.turned_on(Path(self.config.run_dir), families),
            foreign=uplink.foreign(seen, families, ours),
        )

    def _sandboxes(self, records: Records) -> Iterator[str]:
        uids = {pod.metadata.uid for pod in records.pods}
        root, pods_dir = self.config.namespaces_dir, Path(self.config.state_dir, "pods")
        yield from _difference("namespace directory", uids, _names(root))
        yield from _difference("pod directory", _names(pods_dir) & uids, _names(pods_dir))  # made when it is needed
        yield from _difference("cgroup", {f"pod{uid}" for uid in uids}, self._cgroups.list_())
        pins = {str(root / pod.metadata.uid / kind) for pod in records.pods for kind in _kinds(pod)}
        below = (f"{root}/", f"{pods_dir}/")
        there = [each.target for each in mount.list_() if each.target.startswith(below) and not each.target.endswith("/shm")]
        yield from _difference("mount", sorted(pins), sorted(there))

    def _links(self, records: Records, network: NodeNetwork) -> Iterator[str]:
        links = {link.name: link for link in self._host.list_links()}
        bridge = links.get(network.bridge)
        if network.mode is Mode.BRIDGE and (bridge is None or not bridge.is_up or bridge.alias != datapath.BRIDGE_ALIAS):
            yield f"bridge {network.bridge} is {bridge}"
        master = bridge.index if network.mode is Mode.BRIDGE and bridge else 0
        wanted: set[tuple[object, ...]] = {
            (a.host_ifname, a.host_ifindex, datapath.alias(a), master, a.mtu, True) for a in records.attachments
        }
        found = [each for name, each in links.items() if name.startswith(POD_LINK_PREFIX)]
        yield from _difference("link", wanted, {(f.name, f.index, f.alias, f.master, f.mtu, f.is_up) for f in found})

    def _reach(self, records: Records, network: NodeNetwork) -> Iterator[str]:
        """How the node finds a pod: routes and neighbours on the bridge, with forwarding, or on each host veth."""
        links = {link.index: link.name for link in self._host.list_links()}
        is_bridge = network.mode is Mode.BRIDGE
        held = [(a, address) for a in records.attachments for address in a.addresses]
        near = {(network.bridge if is_bridge else a.host_ifname, address, a.mac) for a, address in held}
        entries = {(links.get(each.index, ""), each.address, each.mac) for each in self._host.list_neighbours()}
        yield from _difference("neighbour", near, {each for each in entries if each[0].startswith((POD_LINK_PREFIX, network.bridge))})
        ports = {(a.host_ifindex, a.mac) for a in records.attachments if is_bridge}
        fdb = {(each.port, each.mac) for each in self._host.list_forwarding()}
        yield from _difference("fdb entry", ports, {each for each in fdb if links.get(each[0], "").startswith(POD_LINK_PREFIX)})
        routes = {(datapath.host_prefix(address), network.bridge if is_bridge else a.host_ifname) for a, address in held}
        ours = (each for each in self._host.list_routes() if each.protocol == route.RTPROT_PODWRIGHT and each.index in links)
        yield from _difference("route", routes, {(each.destination, links[each.index]) for each in ours if links[each.index] != "lo"})

    def _firewall(self, records: Records, network: NodeNetwork) -> Iterator[str]:
        skeleton, policy = firewall.skeleton(network), Renderer(daemon._policy_options(self.config)).whole(Program())  # nobody writes any
        wanted = [*skeleton.elements, *policy.elements, *firewall.foreign_elements(network.foreign)]
        wanted += (element for a in records.attachments for element in firewall.elements(network, a))
        devices = (chain for a in records.attachments for chain in firewall.device_chains(network, a))
        chains = {(chain.table, chain.name): chain for chain in (*skeleton.chains, *devices, *policy.chains)}.values()
        tables = {state.table for state in self._nft.list_tables()} & {INET, BRIDGE, NETDEV}
        yield from _difference("table", {*skeleton.tables}, tables)
        for table in tables:
            counts = self._nft.count_rules(table)
            there = {(name, counts[name]) for name in self._nft.list_chains(table)}
            yield from _difference(f"chain and its rules in {table}", {(c.name, len(c.rules)) for c in chains if c.table == table}, there)
        for a_set in (*skeleton.sets, *policy.sets):
            found = {(e.key, e.data) for e in self._nft.list_elements(a_set)}
            yield from _difference(f"element of {a_set}", {(e.key, e.data) for e in wanted if e.set == a_set}, found)


@contextmanager
def watched(settings: Mapping[str, str]) -> Iterator[Node]:
    found = Node(settings)
    try:
        yield found
    finally:
        found.close()


def _difference(what: str, wanted: Iterable[object], found: Iterable[object]) -> Iterator[str]:
    """Lists may hold one thing twice (mounts stacked on one path), and that is a violation, too."""
    wanted, left = list(wanted), list(found)
    for one in wanted:
        if one in left:
            left.remove(one)
        else:
            yield f"{what} missing: {one}"
    yield from (f"{what} left over: {one}" for one in left)


def _names(directory: Path) -> Set[str]:
    return {entry.name for entry in directory.iterdir()} if directory.is_dir() else set()


def _kinds(pod: Pod) -> tuple[str, ...]:
    return ("uts", "ipc") if pod.spec.host_network else ("net", "uts", "ipc")


def _pods(records: Records) -> Iterator[str]:
    for pod in records.pods:
        if pod.is_being_deleted:
            yield f"{pod.key} is still being deleted"
        elif not pod.is_sandboxed:
            yield f"{pod.key} has no sandbox: {pod.status.message}"


def _attachments(records: Records, network: NodeNetwork, containers: Set[AttachmentKey], optional: Set[AttachmentKey]) -> Iterator[str]:
    """One for each pod with its own network, as its status says, and one for each container; no address twice."""
    pods = {AttachmentKey(POD_NETWORK, p.metadata.uid, POD_IFNAME): p for p in records.pods if not p.spec.host_network}
    by_key = {each.attachment_key: each for each in records.attachments}
    yield from _difference("attachment", {*pods, *containers, *(optional & by_key.keys())}, by_key)
    for key, pod in pods.items():
        if key in by_key:
            yield from _difference(f"address of {pod.key}", by_key[key].addresses, (each.ip for each in pod.status.pod_ips))
    addresses = [address for each in records.attachments for address in each.addresses]
    yield from (f"address {address} is leased twice" for address in {*addresses} if addresses.count(address) > 1)


def _inside_pods(records: Records, network: NodeNetwork) -> Iterator[str]:
    """A pod with half a network inside looks whole from the node."""
    for attachment in records.attachments:
        where = f"in {attachment.netns.path}: "
        try:
            netns.identity(attachment.netns.path)
        except PodwrightError as error:
            yield f"{where}{error}"
            continue
        with inside(Path(attachment.netns.path)), closing(NetlinkSocket(NETLINK_ROUTE)) as socket:
            addresses, routes = route.list_addresses(socket), route.list_routes(socket)
            gateways = {(each.address, each.mac) for each in neigh.list_permanent(socket)}
        index = attachment.host_ifindex + 1
        found = {each.address for each in addresses if each.index == index and not each.address.is_link_local}
        yield from (where + problem for problem in _difference("address", {*attachment.addresses}, found))
        ways = {(a.version, network.gateway(a.version, a)) for a in attachment.addresses}
        defaults = {(r.destination.version, r.gateway) for r in routes if r.destination.prefixlen == _DEFAULT_LENGTH and r.index == index}
        yield from (where + problem for problem in _difference("default route", ways, defaults))
        yield from (where + problem for problem in _difference("gateway", {(via, GATEWAY_MAC) for _, via in ways}, gateways))


def _settings() -> Iterator[str]:
    yield from (f"{name} is off" for name in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding") if sysctl.read(name) != "1")


def _connections(records: Records, network: NodeNetwork) -> Iterator[str]:
    """A connection of an address that nobody holds would meet the address's next holder."""
    held = {address for each in records.attachments for address in each.addresses}
    for address in {*_tracked()} - held:
        gateways = {gateway for gateway, _ in network.gateways}
        if address not in gateways and any(address in cidr for cidr in network.pod_cidrs if cidr.version == address.version):
            yield f"connection tracked of {address}, which nobody holds"


def _tracked() -> Iterator[IPAddress]:
    """The sources of both directions: the client, and the server by its true address."""
    for line in Path("/proc/net/nf_conntrack").read_text(encoding="ascii").splitlines():
        yield from (ip_address(word.removeprefix("src=")) for word in line.split() if word.startswith("src="))


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
