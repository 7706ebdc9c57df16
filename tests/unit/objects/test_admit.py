from __future__ import annotations

from ipaddress import ip_address, ip_network
from textwrap import dedent

import pytest
from msgspec.structs import replace

from agent.errors import InvalidObject
from agent.objects.admit import admit
from agent.objects.container import Container, ContainerPort, ResourceRequirements
from agent.objects.decode import decode
from agent.objects.deployment import Deployment, RollingUpdate
from agent.objects.meta import ObjectMeta
from agent.objects.namespace import Namespace
from agent.objects.pod import SANDBOX_FINALIZER, Pod, PodSpec
from agent.objects.pod_status import PodIP, PodStatus
from agent.objects.quantity import Quantity

ONE = {"cpu": Quantity.parse("1")}


def pod(**spec: object) -> Pod:
    fields = {"containers": (Container(name="web", image="nginx:1"),), **spec}
    return Pod(metadata=ObjectMeta(name="web", namespace="default"), spec=PodSpec(**fields))  # type: ignore[arg-type]


def test_a_pod_of_this_node_is_held_until_its_sandbox_is_gone() -> None:
    assert admit(pod(), node_name="here").metadata.finalizers == (SANDBOX_FINALIZER,)
    assert admit(pod(node_name="here"), node_name="here").metadata.finalizers == (SANDBOX_FINALIZER,)


def test_a_pod_of_another_node_is_not_held() -> None:
    assert admit(pod(node_name="there"), node_name="here").metadata.finalizers == ()


def test_a_pod_that_is_being_deleted_is_not_held_again() -> None:
    leaving = replace(pod(), metadata=ObjectMeta(name="web", deletion_timestamp="2024-01-01T00:00:00Z"))
    assert admit(leaving, leaving, node_name="here").metadata.finalizers == ()


def test_admission_done_twice_changes_nothing() -> None:
    once = admit(pod(host_network=True), node_name="here")
    assert admit(once, once, node_name="here") == once


def test_a_limit_is_also_the_request() -> None:
    limited = Container(
        name="web",
        resources=ResourceRequirements(limits={**ONE, "memory": Quantity.parse("1Gi")}, requests={"memory": Quantity.parse("1Mi")}),
    )
    (container,) = admit(pod(containers=(limited,)), node_name="here").spec.containers
    assert container.resources.requests == {**ONE, "memory": Quantity.parse("1Mi")}


def test_on_the_hosts_network_a_port_is_a_host_port() -> None:
    serving = (Container(name="web", ports=(ContainerPort(container_port=80),)),)
    assert admit(pod(containers=serving, host_network=True), node_name="here").spec.containers[0].ports[0].host_port == 80
    assert admit(pod(containers=serving), node_name="here").spec.containers[0].ports[0].host_port is None


def test_a_generated_name_fits_a_host_name() -> None:
    generated = replace(pod(), metadata=ObjectMeta(generate_name="a" * 70))
    name = admit(generated, node_name="here", suffix=lambda: "bcdfg").metadata.name
    assert name == "a" * 58 + "bcdfg"
    assert len(admit(generated, node_name="here").metadata.name) == 63


def test_a_namespace_can_be_selected_by_its_name() -> None:
    assert admit(Namespace(metadata=ObjectMeta(name="shop")), node_name="here").metadata.labels == {"kubernetes.io/metadata.name": "shop"}


DEPLOYMENT = """
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web}
    spec:
      selector: {matchLabels: {app: web}}
      template:
        metadata: {labels: {app: web}}
        spec: {containers: [{name: web, resources: {limits: {cpu: 1}}}]}
"""


def deployment() -> Deployment:
    (decoded,) = decode(dedent(DEPLOYMENT))
    assert isinstance(decoded.object, Deployment)
    return decoded.object


def test_a_deployment_rolls_by_quarters_and_its_template_stays_as_written() -> None:
    admitted = admit(deployment(), node_name="here")
    assert admitted.spec.strategy.rolling_update == RollingUpdate(max_unavailable="25%", max_surge="25%")
    assert admitted.spec.template == deployment().spec.template
    assert admitted.spec.replicas == 1


def refused(new: Pod, old: Pod) -> tuple[str, ...]:
    with pytest.raises(InvalidObject) as refusal:
        admit(new, old, node_name="here")
    return refusal.value.problems


def test_what_was_built_from_a_pods_spec_cannot_be_changed() -> None:
    old = admit(pod(), node_name="here")
    changed = pod(host_network=True, hostname="other", containers=(Container(name="db"),))
    assert refused(changed, old) == (
        "spec.containers: cannot be changed",
        "spec.hostNetwork: cannot be changed",
        "spec.hostname: cannot be changed",
    )


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": (Container(name="web", image="nginx:2"),)},
        {"termination_grace_period_seconds": 5},
        {"node_name": "here"},
    ],
)
def test_what_may_change_in_a_pod(spec: dict[str, object]) -> None:
    admit(pod(**spec), admit(pod(), node_name="here"), node_name="here")


def test_a_bound_pod_stays_where_it_is() -> None:
    assert refused(pod(node_name="there"), pod(node_name="here")) == ("spec.nodeName: cannot be changed",)


def test_a_pod_of_another_node_is_only_a_record() -> None:
    admit(pod(node_name="there", host_network=True), pod(node_name="there"), node_name="here")


def test_a_deployment_keeps_its_selector() -> None:
    (other,) = decode(dedent(DEPLOYMENT).replace("app: web", "app: db"))
    with pytest.raises(InvalidObject, match=r"spec\.selector: cannot be changed") as refusal:
        admit(other.object, deployment(), node_name="here")
    assert refusal.value.hint == "delete the deployment, then apply it again"


def test_a_manifest_that_does_not_say_where_a_pod_is_does_not_move_it():
    bound = admit(pod(node_name="here"), node_name="here")
    assert admit(pod(), bound, node_name="here").spec.node_name == "here"


def test_a_pod_of_another_node_cannot_have_an_address_of_ours() -> None:
    def remote(address: str, node: str = "there") -> Pod:
        return replace(pod(node_name=node), status=PodStatus(pod_ips=(PodIP(ip=ip_address(address)),)))

    ours = (ip_network("10.73.0.0/20"), ip_network("fd73::/64"))
    for address in ("10.74.0.9", "fd74::9"):
        assert admit(remote(address), node_name="here", pod_cidrs=ours).status.pod_ips
    assert admit(remote("10.73.0.9", "here"), node_name="here", pod_cidrs=ours)
    message = r"status.podIPs\[0\].ip: 10.73.0.9 of a pod on node there lies in this node's pod CIDR 10.73.0.0/20"
    with pytest.raises(InvalidObject, match=message):
        admit(remote("10.73.0.9"), node_name="here", pod_cidrs=ours)
