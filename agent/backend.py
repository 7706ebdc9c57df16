"""What the API serves, composed of the managers: the object that the daemon injects into the server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from agent import __version__, metrics
from agent.api.backend import CniReply
from agent.api.cni import CniService
from agent.api.wire import ExecRequest, NodeUsage, PodUsage
from agent.config import Config
from agent.errors import Forbidden, InvalidObject, NotFound
from agent.kernel import hostinfo
from agent.network import traffic
from agent.network.manager import NetworkManager
from agent.objects.admit import admit
from agent.objects.calico.policy import CalicoNetworkPolicy, GlobalNetworkPolicy
from agent.objects.calico.tier import BUILT_IN_TIER_NAMES
from agent.objects.meta import Key, Object
from agent.objects.pod import Pod
from agent.sandbox.execplan import ExecOptions
from agent.sandbox.manager import SandboxManager
from agent.sandbox.usage import Sampler
from agent.store.base import Store
from agent.volume.pool.pools import Pools
from agent.volume.pool.volumes import Volumes


def _state(pod: Pod) -> str:
    return "ready" if pod.is_sandboxed else pod.status.reason or "new"


class AgentBackend:
    def __init__(  # noqa: PLR0913 (the managers there are)
        self,
        config: Config,
        *,
        store: Store,
        network: NetworkManager,
        sandboxes: SandboxManager,
        pools: Pools,
        volumes: Volumes,
        cni: CniService,
        sampler: Sampler,
    ) -> None:
        self._config, self._store, self._pools, self._volumes = config, store, pools, volumes
        self._network, self._sandboxes, self._cni, self._sampler = network, sandboxes, cni, sampler
        self._traffic = traffic.Meter()

    @property
    def store(self) -> Store:
        return self._store

    @property
    def pools(self) -> Pools:
        return self._pools

    @property
    def volumes(self) -> Volumes:
        return self._volumes

    @property
    def node_name(self) -> str:
        return self._config.node_name

    def admit(self, new: Object, old: Object | None) -> Object:
        if old is None:
            self._refuse_missing_namespace(new)
        self._refuse_missing_tier(new)
        return admit(new, old, node_name=self.node_name, pod_cidrs=self._network.network.pod_cidrs)

    def cni(self, request: bytes) -> CniReply:
        return self._cni.answer(request)

    def exec_plan(self, namespace: str, pod: str, request: ExecRequest) -> Mapping[str, Any]:
        options = ExecOptions(argv=request.command, container=request.container, environment=request.environment, detach=request.detach)
        return self._sandboxes.exec_plan(namespace, pod, options)

    def status(self) -> Mapping[str, Any]:
        network = self._network.network
        return {
            "agent": {
                "version": __version__,
                "node": self._config.node_name,
                "resident": f"{hostinfo.resident_bytes() >> 20} MiB",
            },
            "network": {
                "mode": network.mode.value,
                "bridge": network.bridge,
                "mtu": network.mtu,
                "node addresses": ", ".join(str(ip) for ip in network.node_ips) or "none",
                **{f"pod CIDR {usage.network}": f"{usage.used} used, {usage.free} free" for usage in self._network.usage()},
            },
            "objects": {kind: len(self._store.list(kind)[0]) for kind in ("Namespace", "Pod", "Deployment", "Node", "Attachment")},
        }

    def top_node(self) -> Sequence[NodeUsage]:
        usage, machine = self._sampler.node(), hostinfo.capacity()
        percent = 100 * usage.cpu_millicores / (1000 * machine.cpus)
        share = 100 * usage.memory_bytes / machine.memory_bytes
        return (
            NodeUsage(
                name=self.node_name,
                cpu_millicores=usage.cpu_millicores,
                cpu_percent=percent,
                memory_bytes=usage.memory_bytes,
                memory_percent=share,
            ),
        )

    def top_pods(self, namespace: str | None) -> Sequence[PodUsage]:
        found = []
        for pod in self._store.list("Pod", namespace)[0]:
            usage = self._sampler.pod(pod.metadata.uid)
            if usage is not None:
                found.append(
                    PodUsage(
                        namespace=pod.metadata.namespace,
                        name=pod.metadata.name,
                        cpu_millicores=usage.cpu_millicores,
                        memory_bytes=usage.memory_bytes,
                    )
                )
        return found

    def metrics(self) -> bytes:
        for usage in self._network.usage():
            metrics.FREE_ADDRESSES.set(usage.free, str(usage.network))
        pods = [pod for pod in self._store.list("Pod")[0] if isinstance(pod, Pod)]
        carried = self._traffic.total()
        for direction, packets, size in (
            ("from", carried.received_packets, carried.received_bytes),
            ("to", carried.sent_packets, carried.sent_bytes),
        ):
            metrics.POD_PACKETS.set(packets, direction)
            metrics.POD_BYTES.set(size, direction)
        metrics.PODS.replace(Counter(_state(pod) for pod in pods))
        return metrics.exposition()

    def _refuse_missing_namespace(self, new: Object) -> None:
        namespace = new.metadata.namespace
        if not namespace:
            return
        found = self._store.find(Key("Namespace", "", namespace))
        if found is None:
            raise NotFound(f"namespace {namespace} does not exist", hint=f"apply a Namespace {namespace} first")
        if found.is_being_deleted:
            raise Forbidden(f"namespace {namespace} is being deleted: nothing new goes in")

    def _refuse_missing_tier(self, new: Object) -> None:
        if not isinstance(new, CalicoNetworkPolicy | GlobalNetworkPolicy):
            return
        name = new.spec.tier
        if name not in BUILT_IN_TIER_NAMES and self._store.find(Key("Tier", "", name)) is None:
            raise InvalidObject(
                f"cannot apply {new.key}: there is no tier {name}",
                problems=(f'spec.tier: there is no tier "{name}"',),
                hint=f"apply a Tier {name} first",
            )
