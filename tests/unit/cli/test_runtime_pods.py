"""Pods of a container runtime among the rows of `get pods`."""

from agent.api.client import Client
from agent.objects.attachment import Attachment, AttachmentKey, PodReference
from agent.objects.meta import ObjectMeta
from tests.unit.api.conftest import PODS, FakeBackend, pod
from tests.unit.cli.conftest import Podwright


def attach(backend: FakeBackend, name: str, namespace: str = "default", **labels: str) -> None:
    key = AttachmentKey("pods", f"container-{name}", "eth0")
    metadata = ObjectMeta(name=key.digest, labels=labels)
    known_as = PodReference(namespace=namespace, name=name)
    backend.store.create(Attachment(metadata=metadata, network="pods", container_id=key.container_id, ifname="eth0", pod=known_as))


def test_a_row_with_its_source_and_labels(podwright: Podwright, backend: FakeBackend) -> None:
    attach(backend, "web-1", app="web")
    (row,) = podwright("get", "pods", "--show-labels").rows[1:]
    assert (row[0], row[2], row[-1]) == ("web-1", "CNI:pods", "app=web")
    assert podwright("get", "pods", "-l", "app=db").rows == []
    assert podwright("get", "pod", "web-1").rows[1][0] == "web-1"


def test_only_of_the_namespace(podwright: Podwright, backend: FakeBackend) -> None:
    attach(backend, "web-1", namespace="shop")
    assert podwright("get", "pods").rows == []
    assert podwright("get", "pods", "-A").rows[1][:2] == ["shop", "web-1"]


def test_a_pod_object_of_that_name_is_the_pod(podwright: Podwright, backend: FakeBackend, client: Client) -> None:
    client.create(PODS, pod("web-1"))
    attach(backend, "web-1")
    assert len(podwright("get", "pods").rows) == 2
