"""What the types cannot say about an object: names, ranges, uniqueness, references between its fields.

Each function yields problems, one line each, that start with the field's path. Only what the agent acts on is judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agent.objects import config_data
from agent.objects.bandwidth import bandwidth_problems
from agent.objects.cluster_network_policy import ClusterNetworkPolicy
from agent.objects.config_data import ConfigMap, Secret
from agent.objects.deployment import MAX_REPLICAS, Deployment, StrategyType
from agent.objects.kinds import KINDS
from agent.objects.meta import Object, ObjectMeta
from agent.objects.names import dns_label_problem, dns_subdomain_problem, label_key_problem, label_value_problem
from agent.objects.namespace import Namespace
from agent.objects.network_policy import NetworkPolicy
from agent.objects.pod import Pod, PodTemplateSpec, RestartPolicy
from agent.objects.selector import selector_problems
from agent.objects.validate_calico import CalicoObject, calico_problems
from agent.objects.validate_pod import pod_spec_problems
from agent.objects.validate_policy import cluster_policy_problems, network_policy_problems
from agent.objects.validate_storage import storage_problems

_LABEL_NAMED = (Namespace,)
_MAX_ANNOTATIONS_BYTES = 256 << 10


def problems(thing: Object) -> list[str]:
    """Everything that is wrong with an object whose types are right."""
    return [*_name_problems(thing), *metadata_problems(thing.metadata, "metadata"), *_kind_problems(thing)]


def metadata_problems(metadata: ObjectMeta, path: str) -> Iterator[str]:
    for key, value in metadata.labels.items():
        if problem := label_key_problem(key):
            yield f"{path}.labels: {problem}"
        if problem := label_value_problem(value):
            yield f"{path}.labels[{key}]: {problem}"
    for key in metadata.annotations:
        if problem := label_key_problem(key.lower()):
            yield f"{path}.annotations: {problem}"
    if sum(len(key) + len(value) for key, value in metadata.annotations.items()) > _MAX_ANNOTATIONS_BYTES:
        yield f"{path}.annotations: together longer than {_MAX_ANNOTATIONS_BYTES} bytes"


def _name_problems(thing: Object) -> Iterator[str]:
    metadata, info = thing.metadata, KINDS[thing.key.kind]
    if not metadata.name and not metadata.generate_name:
        yield "metadata.name: is required and missing"
    problem_of = dns_label_problem if isinstance(thing, _LABEL_NAMED) else dns_subdomain_problem
    if metadata.name and info.is_acted_on and (problem := problem_of(metadata.name)):
        yield f"metadata.name: {problem}"
    if metadata.generate_name and (problem := problem_of(metadata.generate_name + "x")):
        yield f"metadata.generateName: {problem}"
    if "/" in metadata.name or metadata.name in (".", ".."):
        yield f'metadata.name: "{metadata.name}" cannot be part of a path'
    if metadata.namespace and (problem := dns_label_problem(metadata.namespace)):
        yield f"metadata.namespace: {problem}"


def _kind_problems(thing: Object) -> Iterable[str]:
    if isinstance(thing, Pod):
        return (*bandwidth_problems(thing.metadata.annotations, "metadata"), *pod_spec_problems(thing.spec, "spec"))
    if isinstance(thing, ConfigMap | Secret):
        return config_data.problems(thing)
    if isinstance(thing, Deployment):
        return _deployment_problems(thing)
    if isinstance(thing, NetworkPolicy):
        return network_policy_problems(thing)
    if isinstance(thing, ClusterNetworkPolicy):
        return cluster_policy_problems(thing)
    if isinstance(thing, CalicoObject):
        return calico_problems(thing)
    return storage_problems(thing)


def _deployment_problems(deployment: Deployment) -> Iterator[str]:
    spec = deployment.spec
    labels = spec.template.metadata.labels
    if spec.replicas < 0:
        yield f"spec.replicas: {spec.replicas} is negative"
    if spec.replicas > MAX_REPLICAS:
        yield f"spec.replicas: {spec.replicas} is more than one node can hold: at most {MAX_REPLICAS}"
    if spec.min_ready_seconds < 0:
        yield f"spec.minReadySeconds: {spec.min_ready_seconds} is negative"
    yield from selector_problems(spec.selector, "spec.selector")
    if spec.selector.is_empty:
        yield "spec.selector: is empty and would match every pod"
    elif not spec.selector.matches(labels):
        yield "spec.selector: does not match spec.template.metadata.labels, the pods would not be its own"
    yield from _strategy_problems(deployment)
    yield from _template_problems(spec.template, "spec.template")


def _template_problems(template: PodTemplateSpec, path: str) -> Iterator[str]:
    yield from metadata_problems(template.metadata, f"{path}.metadata")
    yield from bandwidth_problems(template.metadata.annotations, f"{path}.metadata")
    yield from pod_spec_problems(template.spec, f"{path}.spec")
    if template.spec.restart_policy is not RestartPolicy.ALWAYS:
        yield f"{path}.spec.restartPolicy: a Deployment's pods are always restarted, write Always or leave it out"


def _strategy_problems(deployment: Deployment) -> Iterator[str]:
    strategy, path = deployment.spec.strategy, "spec.strategy.rollingUpdate"
    rolling = strategy.rolling_update
    if rolling is None:
        return
    if strategy.type is StrategyType.RECREATE:
        yield f"{path}: has no meaning with type Recreate, leave it out"
    for name, value in (("maxUnavailable", rolling.max_unavailable), ("maxSurge", rolling.max_surge)):
        if not is_count_or_percentage(value):
            yield f'{path}.{name}: "{value}" is neither a count (1) nor a percentage ("25%")'
    if all(str(value).rstrip("%") == "0" for value in (rolling.max_unavailable, rolling.max_surge)):
        yield f"{path}: maxUnavailable and maxSurge are both 0, nothing could ever be replaced"


def is_count_or_percentage(value: int | str) -> bool:
    if isinstance(value, int):
        return value >= 0
    return value.endswith("%") and value[:-1].isascii() and value[:-1].isdigit()
