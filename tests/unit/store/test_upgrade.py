"""first-slice.db was written by the first version of the agent and never changes; every later one must read all of it."""

from __future__ import annotations

import shutil
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from agent.errors import InternalError
from agent.objects.attachment import Attachment, AttachmentKey, PortMapping
from agent.objects.deployment import Deployment
from agent.objects.meta import Key
from agent.objects.opaque import Opaque
from agent.objects.pod import SANDBOX_FINALIZER, Pod
from agent.objects.quantity import Quantity
from agent.store.database import Database, Row
from agent.store.sqlite import SqliteStore
from tests.unit.store.sample import labelled, without_finalizers

FIRST_SLICE = Path(__file__).with_name("first-slice.db")


@pytest.fixture
def upgraded(file: Path) -> Path:
    file.parent.mkdir()
    shutil.copy(FIRST_SLICE, file)
    return file


def test_every_object_of_the_first_version_is_read(upgraded: Path) -> None:
    with SqliteStore(upgraded) as store:
        found = [
            str(thing.key) for kind in ("Namespace", "Node", "Deployment", "Pod", "Service", "Attachment") for thing in store.list(kind)[0]
        ]
        assert found == [
            "namespace default",
            "namespace shop",
            "node worker-1",
            "deployment shop/web",
            "pod shop/leaving",
            "pod shop/remote",
            "pod shop/web",
            "service shop/web",
            "attachment " + AttachmentKey("podwright", "web-uid", "eth0").digest,
        ]
        assert store.list("Pod")[1] == 11


def test_what_the_objects_say_is_unchanged(upgraded: Path) -> None:
    with SqliteStore(upgraded) as store:
        web = store.get(Key("Pod", "shop", "web"))
        assert isinstance(web, Pod)
        assert web.metadata.finalizers == (SANDBOX_FINALIZER,)
        assert web.spec.containers[0].resources.limits == {"cpu": Quantity.parse("1"), "memory": Quantity.parse("128Mi")}
        assert [pod_ip.ip for pod_ip in web.status.pod_ips] == [IPv4Address("10.73.0.2"), IPv6Address("fd73:7077:7269::2")]
        leaving = store.get(Key("Pod", "shop", "leaving"))
        assert (leaving.metadata.deletion_timestamp, leaving.metadata.deletion_grace_period_seconds) == ("2024-05-01T12:00:30Z", 30)
        deployment = store.get(Key("Deployment", "shop", "web"))
        assert isinstance(deployment, Deployment)
        assert (deployment.spec.replicas, deployment.spec.paused) == (3, True)
        service = store.get(Key("Service", "shop", "web"))
        assert isinstance(service, Opaque)
        assert service.rest == {"spec": {"ports": [{"port": 80}], "clusterIP": "None"}}
        (attachment,) = store.list("Attachment")[0]
        assert isinstance(attachment, Attachment)
        assert attachment.ports == (PortMapping(host_port=8080, container_port=80, host_ip=IPv4Address("192.0.2.1")),)


def test_it_goes_on_from_there(upgraded: Path) -> None:
    with SqliteStore(upgraded) as store:
        changed = store.update(labelled(store.get(Key("Pod", "shop", "web")), app="new"))
        assert changed.metadata.resource_version == "12"
        store.update(without_finalizers(store.get(Key("Pod", "shop", "leaving"))))
        assert store.find(Key("Pod", "shop", "leaving")) is None


def test_what_a_newer_version_wrote_survives_a_change_by_this_one(upgraded: Path) -> None:
    key = Key("Pod", "shop", "web")
    database = Database(upgraded)
    body = next(row.body for row in database.rows() if row.key == key)
    assert body is not None
    uid = "00000000-0000-4000-8000-000000000006"
    assert uid.encode() in body
    database.commit([Row(key, uid, 12, body.replace(b'"spec":{', b'"spec":{"fromTheFuture":[1],'))], 12)
    database.close()
    with SqliteStore(upgraded) as store:
        store.update(labelled(store.get(key), app="new"))
    database = Database(upgraded)
    body = next(row.body for row in database.rows() if row.key == key)
    database.close()
    assert body is not None
    assert b'"fromTheFuture":[1]' in body
    assert b'"app":"new"' in body


def test_an_object_that_cannot_be_read_stops_the_agent_by_name(upgraded: Path) -> None:
    database = Database(upgraded)
    database.commit([Row(Key("Pod", "shop", "web"), "uid", 12, b'{"spec": 7}')], 12)
    database.close()
    with pytest.raises(InternalError, match=r"cannot open .*podwright.db: pod shop/web: cannot read a stored Pod"):
        SqliteStore(upgraded)
    Database(upgraded).close()
