"""What the agent makes of an object before it is stored: names, finalizers, the API server's defaults, and what may change.

Pure: the node's name and a source of random suffixes come in as arguments. Most defaults are those of the types
themselves; here is only what depends on other fields. Which changes are refused is in immutable.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import SystemRandom
from typing import Any, TypeVar

from msgspec.structs import replace

from agent.errors import InvalidObject
from agent.objects.config_data import Secret, with_string_data
from agent.objects.container import Container, ContainerPort
from agent.objects.deployment import Deployment, RollingUpdate, StrategyType
from agent.objects.immutable import refuse_forbidden_changes
from agent.objects.meta import IPNetwork, Object
from agent.objects.names import LONGEST_PREFIX, random_suffix
from agent.objects.namespace import NAME_LABEL, Namespace
from agent.objects.persistent_volume import VOLUME_PROTECTION, PersistentVolume
from agent.objects.persistent_volume_claim import CLAIM_PROTECTION, PersistentVolumeClaim
from agent.objects.pod import SANDBOX_FINALIZER, Pod, PodSpec

ObjectT = TypeVar("ObjectT", bound=Object)
_suffix = partial(random_suffix, SystemRandom())


def admit(
    new: ObjectT,
    old: Object | None = None,
    *,
    node_name: str,
    pod_cidrs: Sequence[IPNetwork] = (),
    suffix: Callable[[], str] = _suffix,
) -> ObjectT:
    """`new` as it is to be stored on the node `node_name`, whose pods have addresses of `pod_cidrs`; `old` is what it
    replaces, None on creation. Raises InvalidObject."""
    named = _named(new, suffix)
    default = _DEFAULTS.get(type(named))
    admitted = named if default is None else default(named, node_name)
    if isinstance(admitted, Pod) and isinstance(old, Pod) and not admitted.spec.node_name:
        admitted = _bound_as(admitted, old)
    if isinstance(admitted, Pod) and admitted.spec.node_name not in ("", node_name):
        _refuse_our_addresses(admitted, pod_cidrs)
    if old is not None:
        refuse_forbidden_changes(admitted, old, node_name)
    return admitted


def _refuse_our_addresses(remote: Pod, pod_cidrs: Sequence[IPNetwork]) -> None:
    """An address of ours at two nodes would be reached at one of them, and policies would take each pod for the other."""
    for n, entry in enumerate(remote.status.pod_ips):
        cidr = next((cidr for cidr in pod_cidrs if entry.ip in cidr), None)
        if cidr is not None:
            hint = "give each node a pod CIDR of its own with network.podCIDRs"
            problem = f"status.podIPs[{n}].ip: {entry.ip} of a pod on node {remote.spec.node_name} lies in this node's pod CIDR {cidr}"
            raise InvalidObject(problem, hint=hint)


def _bound_as(new: ObjectT, old: Pod) -> ObjectT:
    """Who does not say where the pod is does not move it."""
    assert isinstance(new, Pod)
    return replace(new, spec=replace(new.spec, node_name=old.spec.node_name))


def _named(thing: ObjectT, suffix: Callable[[], str]) -> ObjectT:
    metadata = thing.metadata
    if metadata.name or not metadata.generate_name:
        return thing
    return replace(thing, metadata=replace(metadata, name=metadata.generate_name[:LONGEST_PREFIX] + suffix()))


def _namespace(namespace: Namespace, _: str) -> Namespace:
    """Selectors can name a namespace by its label."""
    metadata = namespace.metadata
    return replace(namespace, metadata=replace(metadata, labels={**metadata.labels, NAME_LABEL: metadata.name}))


def _pod(pod: Pod, node_name: str) -> Pod:
    """A pod of another node has no sandbox here, so nothing here may hold up its deletion."""
    spec, metadata = _pod_spec(pod.spec), pod.metadata
    is_ours = spec.node_name in ("", node_name)
    if is_ours and metadata.deletion_timestamp is None and SANDBOX_FINALIZER not in metadata.finalizers:
        metadata = replace(metadata, finalizers=(*metadata.finalizers, SANDBOX_FINALIZER))
    return replace(pod, spec=spec, metadata=metadata)


def _pod_spec(spec: PodSpec) -> PodSpec:
    return replace(
        spec,
        containers=tuple(_container(container, spec.host_network) for container in spec.containers),
        init_containers=tuple(_container(container, spec.host_network) for container in spec.init_containers),
        service_account_name=spec.service_account_name or spec.service_account,
    )


def _container(container: Container, host_network: bool) -> Container:
    """On the host's network a port is a host port."""
    resources = container.resources
    ports = tuple(_host_network_port(port) for port in container.ports) if host_network else container.ports
    return replace(container, resources=replace(resources, requests=resources.effective_requests), ports=ports)


def _host_network_port(port: ContainerPort) -> ContainerPort:
    return replace(port, host_port=port.host_port or port.container_port)


def _deployment(deployment: Deployment, _: str) -> Deployment:
    """The template is left as it was written: its hash must not change with our defaults."""
    strategy = deployment.spec.strategy
    if strategy.type is StrategyType.RECREATE or strategy.rolling_update is not None:
        return deployment
    return replace(deployment, spec=replace(deployment.spec, strategy=replace(strategy, rolling_update=RollingUpdate())))


def _claim(claim: PersistentVolumeClaim, _: str) -> PersistentVolumeClaim:
    spec = replace(claim.spec, volume_mode=claim.volume_mode)
    return _guarded(replace(claim, spec=spec), CLAIM_PROTECTION)


def _volume(volume: PersistentVolume, _: str) -> PersistentVolume:
    return _guarded(volume, VOLUME_PROTECTION)


def _guarded(thing: ObjectT, finalizer: str) -> ObjectT:
    """With a finalizer that only the controllers take away; not added again to what is on its way out."""
    metadata = thing.metadata
    if finalizer in metadata.finalizers or metadata.deletion_timestamp is not None:
        return thing
    return replace(thing, metadata=replace(metadata, finalizers=(*metadata.finalizers, finalizer)))


def _secret(secret: Secret, _: str) -> Secret:
    return with_string_data(secret)


_DEFAULTS: dict[type[Object], Callable[[Any, str], Any]] = {
    Namespace: _namespace,
    Pod: _pod,
    Deployment: _deployment,
    PersistentVolumeClaim: _claim,
    PersistentVolume: _volume,
    Secret: _secret,
}
