"""What the types cannot say about a pod's spec, alone or as a Deployment's template."""

from __future__ import annotations

from collections.abc import Iterator

from agent.objects.container import Container, ContainerPort, VolumeMount
from agent.objects.meta import IPAddress
from agent.objects.names import dns_label_problem, dns_subdomain_problem, port_name_problem
from agent.objects.pod import DNSPolicy, PodSpec
from agent.objects.validate_process import duplicates, nul_problem, process_problems, security_problems
from agent.objects.volumes import Volume

_MAX_NAMESERVERS, _MAX_SEARCHES = 3, 32


def pod_spec_problems(spec: PodSpec, path: str) -> Iterator[str]:
    if not spec.containers:
        yield f"{path}.containers: at least one is needed"
    yield from _unique_names(spec, path)
    for field, containers in _container_lists(spec):
        for index, container in enumerate(containers):
            yield from _container_problems(container, spec, f"{path}.{field}[{index}]")
    yield from _host_port_problems(spec, path)
    yield from _volume_problems(spec.volumes, f"{path}.volumes")
    yield from _identity_problems(spec, path)
    yield from _dns_problems(spec, path)
    yield from security_problems(spec, f"{path}.securityContext")


def _container_lists(spec: PodSpec) -> tuple[tuple[str, tuple[Container, ...]], ...]:
    return (
        ("initContainers", spec.init_containers),
        ("containers", spec.containers),
        ("ephemeralContainers", spec.ephemeral_containers),
    )


def _unique_names(spec: PodSpec, path: str) -> Iterator[str]:
    seen: dict[str, str] = {}
    for field, containers in _container_lists(spec):
        for index, container in enumerate(containers):
            here = f"{path}.{field}[{index}]"
            if container.name in seen:
                yield f'{here}.name: "{container.name}" is already the name of {seen[container.name]}'
            seen.setdefault(container.name, here)


def _container_problems(container: Container, spec: PodSpec, path: str) -> Iterator[str]:
    if problem := dns_label_problem(container.name):
        yield f"{path}.name: {problem}"
    for index, port in enumerate(container.ports):
        yield from _port_problems(port, spec, f"{path}.ports[{index}]")
    yield from duplicates((port.name for port in container.ports), f"{path}.ports", "name")
    yield from process_problems(container, path)
    yield from _resource_problems(container, f"{path}.resources")
    yield from _mount_problems(container.volume_mounts, spec.volumes, f"{path}.volumeMounts")


def _port_problems(port: ContainerPort, spec: PodSpec, path: str) -> Iterator[str]:
    if not 1 <= port.container_port <= 65535:
        yield f"{path}.containerPort: {port.container_port} is not a port, write 1 to 65535"
    if port.host_port is not None and not 0 <= port.host_port <= 65535:
        yield f"{path}.hostPort: {port.host_port} is not a port, write 1 to 65535"
    if port.name and (problem := port_name_problem(port.name)):
        yield f"{path}.name: {problem}"
    if spec.host_network and port.host_port and port.host_port != port.container_port:
        yield f"{path}.hostPort: with hostNetwork it must be the containerPort, {port.container_port}"


def _host_port_problems(spec: PodSpec, path: str) -> Iterator[str]:
    """Two ports of one pod that would listen at the same place; a wildcard address overlaps every address of its family."""
    seen: list[tuple[ContainerPort, str]] = []
    for container_index, container in enumerate(spec.containers):
        for port_index, port in enumerate(container.ports):
            here = f"{path}.containers[{container_index}].ports[{port_index}]"
            if not port.host_port:
                continue
            taken = next((where for other, where in seen if _overlap(port, other)), None)
            if taken is not None:
                yield f"{here}.hostPort: {port.host_port}/{port.protocol} is already taken by {taken}"
            seen.append((port, here))


def _overlap(one: ContainerPort, other: ContainerPort) -> bool:
    if (one.host_port, one.protocol) != (other.host_port, other.protocol):
        return False
    return any(_covers(a, b) for a, b in ((one.host_ip, other.host_ip), (other.host_ip, one.host_ip)))


def _covers(wide: IPAddress | None, narrow: IPAddress | None) -> bool:
    """None is every address of both families; 0.0.0.0 and :: every one of theirs."""
    if wide is None or wide == narrow:
        return True
    return narrow is not None and wide.is_unspecified and wide.version == narrow.version


def _resource_problems(container: Container, path: str) -> Iterator[str]:
    requests, limits = container.resources.requests, container.resources.limits
    for field, amounts in (("requests", requests), ("limits", limits)):
        for name, amount in amounts.items():
            if amount.nano < 0:
                yield f"{path}.{field}[{name}]: {amount} is negative"
    for name, amount in requests.items():
        if name in limits and amount > limits[name]:
            yield f"{path}.requests[{name}]: {amount} is more than the limit of {limits[name]}"


def _volume_problems(volumes: tuple[Volume, ...], path: str) -> Iterator[str]:
    yield from duplicates((volume.name for volume in volumes), path, "name")
    for index, volume in enumerate(volumes):
        if problem := dns_label_problem(volume.name):
            yield f"{path}[{index}].name: {problem}"
        if not volume.sources:
            yield f'{path}[{index}]: has no source, write for example "emptyDir: {{}}"'
        if len(volume.sources) > 1:
            yield f"{path}[{index}]: has {len(volume.sources)} sources ({', '.join(volume.sources)}), write one"


def _mount_problems(mounts: tuple[VolumeMount, ...], volumes: tuple[Volume, ...], path: str) -> Iterator[str]:
    known = {volume.name for volume in volumes}
    yield from duplicates((mount.mount_path for mount in mounts), path, "mountPath")
    for index, mount in enumerate(mounts):
        if mount.name not in known:
            yield f'{path}[{index}].name: the pod has no volume "{mount.name}"'
        if not mount.mount_path:
            yield f"{path}[{index}].mountPath: is empty"
        yield from nul_problem(mount.mount_path, f"{path}[{index}].mountPath")
        yield from nul_problem(mount.sub_path, f"{path}[{index}].subPath")
        if mount.sub_path.startswith("/") or ".." in mount.sub_path.split("/"):
            yield f'{path}[{index}].subPath: "{mount.sub_path}" must be relative and without ".."'
        if mount.sub_path and mount.sub_path_expr:
            yield f"{path}[{index}]: has both subPath and subPathExpr, write one"


def _identity_problems(spec: PodSpec, path: str) -> Iterator[str]:
    for field, name, problem_of in (
        ("hostname", spec.hostname, dns_label_problem),
        ("subdomain", spec.subdomain, dns_label_problem),
        ("nodeName", spec.node_name, dns_subdomain_problem),
    ):
        if name and (problem := problem_of(name)):
            yield f"{path}.{field}: {problem}"
    if spec.termination_grace_period_seconds < 0:
        yield f"{path}.terminationGracePeriodSeconds: {spec.termination_grace_period_seconds} is negative"
    for index, alias in enumerate(spec.host_aliases):
        for name in alias.hostnames:
            if problem := dns_subdomain_problem(name):
                yield f"{path}.hostAliases[{index}].hostnames: {problem}"


def _dns_problems(spec: PodSpec, path: str) -> Iterator[str]:
    config = spec.dns_config
    if spec.dns_policy is DNSPolicy.NONE and (config is None or not config.nameservers):
        yield f"{path}.dnsConfig.nameservers: at least one is needed with dnsPolicy None"
    if config is None:
        return
    if len(config.nameservers) > _MAX_NAMESERVERS:
        yield f"{path}.dnsConfig.nameservers: {len(config.nameservers)} are given, a resolver uses {_MAX_NAMESERVERS}"
    if len(config.searches) > _MAX_SEARCHES:
        yield f"{path}.dnsConfig.searches: {len(config.searches)} are given, {_MAX_SEARCHES} are allowed"
    for index, search in enumerate(config.searches):
        if search != "." and (problem := dns_subdomain_problem(search.removesuffix(".").replace("_", "-"))):
            yield f"{path}.dnsConfig.searches[{index}]: {problem}"
