"""The composition root: builds the real things, wires them, runs, stops.

Order matters: nothing is swept before desired state is read, and the socket opens when everything can be answered.
Stopping leaves pods, links, tables and mounts as they are: a restart is the normal case.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from agent import __version__, controllers, log, teardown
from agent.api import spool
from agent.api.cni import CniService
from agent.api.events import EventLog
from agent.api.metrics_listener import MetricsListener
from agent.api.server import Server
from agent.backend import AgentBackend
from agent.config import Config, Deny, EstablishedFlows, Mode
from agent.controllers.nodes import NodeController
from agent.controllers.pods import PodController
from agent.controllers.runner import Runner
from agent.errand import Errand
from agent.errors import InvalidObject, OutOfSpace
from agent.kernel import cgroup, hostinfo
from agent.kernel.cgroup import Cgroups
from agent.kernel.host import Host
from agent.kernel.nft import Nft
from agent.kernel.route import RTPROT_PODWRIGHT
from agent.kernel.sysctl import Sysctl
from agent.network import clear as network_clear
from agent.network import facts, foreign_accept, forwarding, node, remote_routes, uplink
from agent.network.firewall.masquerade import hairpins
from agent.network.firewall.tables import INET, pod_device
from agent.network.follow import LinkFollower
from agent.network.guard import TableGuard
from agent.network.keep import Keeper
from agent.network.manager import NetworkManager
from agent.network.node import NodeNetwork
from agent.network.tables import Tables
from agent.network.uplink import Ours
from agent.objects.meta import IPNetwork, Key, ObjectMeta, now
from agent.objects.namespace import DEFAULT_NAMESPACE, Namespace
from agent.objects.node import Node
from agent.objects.volumes import CSI_DRIVER
from agent.policy.manager import PolicyManager
from agent.policy.render import Options
from agent.sandbox import capacity, node_object, usage
from agent.sandbox import manager as sandbox
from agent.sandbox.interfaces import RuntimeInterfaces
from agent.sandbox.manager import SandboxManager
from agent.sandbox.usage import Sampler
from agent.store.base import Store
from agent.store.forget import forget
from agent.store.sqlite import SqliteStore
from agent.volume.claims import ClaimVolumes
from agent.volume.pods import PodVolumes
from agent.volume.pool.catalog import Catalog
from agent.volume.pool.driver import Driver
from agent.volume.pool.maker import Maker
from agent.volume.pool.pools import Pools
from agent.volume.pool.volumes import Volumes

_POD_THREADS = 4
"""They wait for the kernel and the disk most of the time; more only fight for the interpreter."""
_SWEEP_EVERY_S = 60.0


def run(config: Config) -> None:
    """Serve until SIGTERM or SIGINT. Raises PodwrightError when the node is not fit to start on."""
    log.configure(config.log.level, as_json=config.log.json)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as stack:
        start(config, stack)
        logger.info("podwright {} is ready: node {}, socket {}", __version__, config.node_name, config.socket_path)
        stop.wait()
        logger.info("stopping; pods stay as they are")


def start(config: Config, stack: ExitStack) -> None:
    """Bring everything up; `stack` takes it down again in reverse."""
    node = _open_node(config, stack)
    _ensure_objects(node.store, config, node.network)
    guard = None if node.tables.are_owned else TableGuard(node.tables)
    if guard is not None:
        stack.callback(guard.stop)
    lost = node.interfaces.start()
    stack.callback(node.policy.stop)
    node.policy.start()
    node.host.ensure_settings(node.settings)  # a router only from here on: what must not be forwarded is dropped by now
    node.pools.start()
    node.volumes.start()
    node.sandboxes.start(lost)
    if guard is not None:
        guard.start()
    stack.callback(node.follower.stop)
    node.follower.start(node.host, node.interfaces, node.tables)
    accept = foreign_accept.keeper(config.network.firewall, pod_device(node.network))
    _send(accept, stack)

    sampler = Sampler(node.sandboxes.usage_of_all)
    sampling = Errand("sampling the use of processors and memory", sampler.sample, every_s=usage.INTERVAL_S)
    _send(sampling, stack)
    runtime = RuntimeInterfaces(node.interfaces, is_ours=node.sandboxes.is_ours, state_dir=str(config.state_dir))
    cni = CniService(runtime, before_attach=lambda: spool.drain_waiting(config.spool_dir, cni.handle))
    backend = AgentBackend(
        config,
        store=node.store,
        network=node.interfaces,
        sandboxes=node.sandboxes,
        pools=node.pools,
        volumes=node.volumes,
        cni=cni,
        sampler=sampler,
    )
    controller = PodController(node.sandboxes)
    pods = Runner(node.store, [controller], threads=_POD_THREADS)
    stack.callback(pods.stop)
    pods.start()
    others = NodeController(node.store, node.host, node.tables, own_name=config.node_name, own_cidrs=node.network.pod_cidrs)
    nodes = Runner(node.store, [others], threads=1)
    stack.callback(nodes.stop)
    nodes.start()
    keeper = Keeper(node.settings, Path(config.run_dir), gone=lambda pod: pods.look_at(controller, pod))
    stack.callback(keeper.stop)
    keeper.start(node.host, node.interfaces, node.tables)
    stack.callback(controllers.start(node.store, config.node_name, config.controllers, admit=backend.admit, storage=node.storage).stop)
    server = Server(backend, socket_path=config.socket_path, group=config.group)
    stack.callback(server.stop)
    server.listen()  # from now on a DEL waits for us; what came before is in the spool, and must go first
    spool.drain(config.spool_dir, cni.handle)
    server.start()
    # Nothing tells at once that a container died without a DEL; its link, which ends with its namespace, is the proof.
    steps = (lambda: spool.drain_waiting(config.spool_dir, cni.handle), runtime.collect_dead)
    sweep = Errand("giving back what dead containers held", lambda: teardown.run_all(steps), every_s=_SWEEP_EVERY_S)
    _send(sweep, stack)
    if config.metrics_listen:
        stack.callback(MetricsListener(config.metrics_listen, backend.metrics).stop)


def _send(errand: Errand, stack: ExitStack) -> None:
    """At once, and then whenever it is due."""
    errand.ring()
    errand.start()
    stack.callback(errand.stop)


def clear(config: Config) -> None:
    """With no agent running: take down every pod and everything of ours on this node, and forget all objects but those of kept data."""
    with ExitStack() as stack:
        node = _open_node(config, stack)
        steps = (
            node.pools.start,
            node.sandboxes.clear,
            node.pools.stop,
            lambda: network_clear.clear(node.network, node.host, node.tables),
            lambda: foreign_accept.remove(foreign_accept.devices(config.network.bridge)),
            lambda: forwarding.restore(Path(config.run_dir)),
            lambda: spool.remove(config.spool_dir),
        )
        teardown.run_all(steps)
    forget(config.database)


@dataclass(frozen=True, slots=True)
class _Node:
    store: Store
    host: Host
    follower: LinkFollower
    network: NodeNetwork
    settings: tuple[Sysctl, ...]
    tables: Tables
    policy: PolicyManager
    interfaces: NetworkManager
    sandboxes: SandboxManager
    pools: Pools
    volumes: Volumes
    storage: controllers.Storage


def _open_node(config: Config, stack: ExitStack) -> _Node:
    """The managers, wired but not started. A second agent on the same state fails at the store's lock."""
    for directory in (config.run_dir, config.state_dir):
        os.makedirs(directory, mode=0o755, exist_ok=True)
    store = stack.enter_context(SqliteStore(config.database))
    follower = LinkFollower(_families(config), _ours(config), fixed_mtu=config.network.mtu)
    host = Host(follower.changed)
    stack.callback(host.close)
    network, settings = _node_network(config, host, _recorded_mode(store, config))
    network = dataclasses.replace(
        network, remote=_remote_cidrs(store, config)
    )  # before the tables stand: no flow between nodes is masqueraded
    nft = Nft.open(own_tables=config.network.own_tables)
    stack.callback(nft.close)
    tables = Tables(nft, network, devices=lambda: {link.name for link in host.list_links()})
    policy = PolicyManager(
        store, tables, _policy_options(config), node_name=config.node_name, node_addresses=(*network.node_ips, *dict(network.gateways))
    )
    tables.take_in(policy)
    interfaces = NetworkManager(network, host=host, tables=tables, store=store, boot_id=hostinfo.boot_id())
    stack.callback(interfaces.close)
    machine = hostinfo.capacity()
    room = capacity.allocatable(capacity.capacity(machine.cpus, machine.memory_bytes))
    place = sandbox.Node(config.node_name, network.node_ips, config.namespaces_dir, Path(config.state_dir, "pods"), room)
    catalog = Catalog(store, Path(config.state_dir, "pool"))
    pools = Pools(store, catalog, Path(config.state_dir, "pools"))
    volumes = Volumes(store, catalog, Maker(store, catalog))
    staging = Path(config.state_dir, "plugins", "kubernetes.io", "csi", CSI_DRIVER)
    claims = ClaimVolumes(store, volumes, node_name=config.node_name, staging_dir=staging)
    pod_volumes = PodVolumes(place.pods_dir, store=store, persistent=claims, room=room.quantities())
    events = EventLog(store, node_name=config.node_name)
    groups = Cgroups(cgroup.detect())
    sandboxes = SandboxManager(place, store=store, network=interfaces, volumes=pod_volumes, cgroups=groups, now=now, record=events.record)
    storage = controllers.Storage(Driver(volumes), events.record)
    return _Node(store, host, follower, network, settings, tables, policy, interfaces, sandboxes, pools, volumes, storage)


def _policy_options(config: Config) -> Options:
    return Options(
        table=INET,
        selves=tuple((family, hairpins(family)) for family in (4, 6)),
        reevaluates=config.policy.established_flows is EstablishedFlows.REEVALUATE,
        rejects=config.policy.deny is Deny.REJECT,
    )


def _node_network(config: Config, host: Host, mode: Mode) -> tuple[NodeNetwork, tuple[Sysctl, ...]]:
    """Look at the node and refuse what cannot work. With it, the settings that make the node a router: for later."""
    families, ours = _families(config), _ours(config)
    if not families:
        raise InvalidObject("network.podCIDRs is empty", hint="give at least one range, such as 10.73.0.0/20")
    seen = facts.read(host)
    uplink.refuse_overlap(config.network.pod_cidrs, seen.routes, ours)
    uplink.refuse_absent(config.network.node_ips, seen)
    uplinks = uplink.uplinks(seen, families, ours)
    settings = forwarding.prepare(Path(config.run_dir), families, [link.name for link in uplinks])
    network = node.from_config(
        config,
        mtu=uplink.mtu(seen, families, ours),
        node_ips=uplink.node_addresses(seen, families, ours),
        drop_foreign_forward=forwarding.turned_on(Path(config.run_dir), families),
        foreign=uplink.foreign(seen, families, ours),
    )
    return dataclasses.replace(network, mode=mode), settings


def _families(config: Config) -> list[int]:
    return sorted({cidr.version for cidr in config.network.pod_cidrs})


def _ours(config: Config) -> Ours:
    gateways = frozenset(node.gateway_of(cidr) for cidr in config.network.pod_cidrs)
    return Ours(bridge=config.network.bridge, protocols=frozenset({RTPROT_PODWRIGHT}), gateways=gateways)


def _recorded_mode(store: Store, config: Config) -> Mode:
    """The mode that the node's attachments were built in; a change waits until there are none."""
    known = store.find(Key("Node", "", config.node_name))
    recorded = known.metadata.annotations.get(node_object.MODE_ANNOTATION) if known is not None else None
    if recorded in (None, config.network.mode.value) or not store.list("Attachment")[0]:
        return config.network.mode
    logger.warning(
        "network.mode {} is configured, but pods were attached in mode {}: kept until they are gone", config.network.mode, recorded
    )
    return Mode(recorded)


def _remote_cidrs(store: Store, config: Config) -> tuple[IPNetwork, ...]:
    nodes = [each for each in store.list("Node")[0] if isinstance(each, Node)]
    return tuple(each.cidr for each in remote_routes.remotes(nodes, config.node_name, config.network.pod_cidrs))


def _ensure_objects(store: Store, config: Config, network: NodeNetwork) -> None:
    """The Node object of this machine, and the namespace that users start in. On a full disk those of the last start serve."""
    try:
        _write_objects(store, config, network)
    except OutOfSpace as error:
        if store.find(Key("Node", "", config.node_name)) is None:
            raise
        logger.error("{}; {}", error.message, error.hint)


def _write_objects(store: Store, config: Config, network: NodeNetwork) -> None:
    if store.find(Key("Namespace", "", DEFAULT_NAMESPACE)) is None:
        store.create(Namespace(metadata=ObjectMeta(name=DEFAULT_NAMESPACE)))
    seen = node_object.observed(
        config.node_name,
        capacity=hostinfo.capacity(),
        identity=hostinfo.node_identity(),
        addresses=network.node_ips,
        pod_cidrs=network.pod_cidrs,
        mode=network.mode.value,
        now=now(),
    )
    known = store.find(Key("Node", "", config.node_name))
    if known is None:
        store.create(seen)
    else:
        assert isinstance(known, Node)
        store.update(node_object.merged(known, seen))
